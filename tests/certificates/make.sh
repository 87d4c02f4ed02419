#!/bin/sh
# Makes the certificates of the tests anew. Their keys are public: they must be trusted nowhere.
set -eu
cd "$(dirname "$0")"
DAYS=36500

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# authority NAME
authority() {
    key "$1"
    openssl req -x509 -new -key "$1.key" -out "$1.pem" -days $DAYS -subj "/CN=hubbub tests: $1" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
}

# signed NAME AUTHORITY EXTENSIONS
signed() {
    name=$1 authority=$2 extensions=$3
    openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
    printf '%s\n' "$extensions" > "$name.ext"
    openssl x509 -req -in "$name.csr" -CA "$authority.pem" -CAkey "$authority.key" -out "$name.pem" \
        -extfile "$name.ext" -days $DAYS
    rm "$name.csr" "$name.ext"
}

# expired NAME AUTHORITY: only `openssl ca` takes dates.
expired() {
    touch index.txt
    echo 01 > serial
    cat > ca.cnf <<END
[ca]
default_ca = here
[here]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
[policy]
commonName = supplied
END
    echo "subjectAltName=DNS:localhost" > "$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    openssl ca -batch -notext -config ca.cnf -cert "$2.pem" -keyfile "$2.key" -in "$1.csr" -out "$1.pem" \
        -extfile "$1.ext" -startdate 20200101000000Z -enddate 20200201000000Z
    rm -f index.txt* serial* ca.cnf 01.pem "$1.csr" "$1.ext"
}

authority ca
authority stranger
key localhost && signed localhost ca "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
key example && signed example ca "subjectAltName=DNS:example.org"
key wild && signed wild ca "subjectAltName=DNS:*.example.net"
key client && signed client ca "extendedKeyUsage=clientAuth"
key impostor && signed impostor stranger "extendedKeyUsage=clientAuth"
key expired && expired expired ca
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
signed rsa ca "subjectAltName=DNS:localhost,IP:127.0.0.1"
openssl pkey -in localhost.key -aes256 -passout pass:secret -out encrypted.key
cat localhost.pem localhost.key > both.pem
rm -f ./*.srl
