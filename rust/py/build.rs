//! Says what a wheel that is built from here will lack: `make wheel` puts it together before it builds.

use std::path::Path;

/// One file of each part, and what the part is.
const PARTS: [(&str, &str); 3] = [
    ("socketio/client-dist/socket.io.js", "the Socket.IO client for browsers (/socket.io/socket.io.js answers 404)"),
    ("client/hubbub.js.gz", "the compressed forms of /hubbub.js"),
    ("projects/chat/app.py", "what `hubbub new` writes"),
];

fn main() {
    let package = Path::new("../../python/hubbub");
    let mut missing = Vec::new();
    for (file, what) in PARTS {
        let file = package.join(file);
        println!("cargo:rerun-if-changed={}", file.display());
        if !file.exists() {
            missing.push(what);
        }
    }
    if !missing.is_empty() {
        let missing = missing.join(", ");
        println!(
            "cargo:warning=this build of hubbub will not have: {missing}. `make wheel` makes a whole one (with npm)"
        );
    }
}
