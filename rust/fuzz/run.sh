#!/bin/sh
# Runs the fuzz targets, each for some seconds, with a stable toolchain and without cargo-fuzz.
#
#     rust/fuzz/run.sh [SECONDS [TARGET...]]     5 seconds and all targets by default
#
# RUSTC_BOOTSTRAP lets a stable compiler take the one unstable flag, that of AddressSanitizer; SANITIZER=none leaves it
# out. The same targets run under `cargo +nightly fuzz run --fuzz-dir rust/fuzz TARGET`.
set -eu
cd "$(dirname "$0")"
seconds=${1:-5}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- $(cd fuzz_targets && echo *.rs | sed "s/\.rs//g")

host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module"
flags="$flags -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-trace-compares"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
[ "${SANITIZER:-address}" = none ] || flags="$flags -Zsanitizer=${SANITIZER:-address}"

# With --target, the flags do not reach build scripts.
export RUSTC_BOOTSTRAP=1
RUSTFLAGS="$flags" cargo build --quiet --release --bins --target "$host"

failed=0
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    log="artifacts/$target.log"
    if "${CARGO_TARGET_DIR:-target}/$host/release/$target" "corpus/$target" "seeds/$target" \
        -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" -timeout=1 -rss_limit_mb=2048 >"$log" 2>&1
    then
        printf '%-11s %s\n' "$target" "$(grep DONE "$log" | tail -n 1)"
    else
        failed=1
        printf '%-11s FAILED\n' "$target"
        grep -vE '^ *#[0-9]+' "$log" | tail -n 40
    fi
done
exit "$failed"
