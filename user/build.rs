//! Link arguments of the programs.

/// Where each program is linked. They differ, and from where others usually are (4 MiB), so that a debugger can have the
/// symbols of all.
const PLACES: [(&str, u64); 3] = [("init", 16 << 20), ("tests", 32 << 20), ("bench", 48 << 20)];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        for (program, place) in PLACES {
            println!("cargo::rustc-link-arg-bin={program}=--image-base={place:#x}");
        }
        println!("cargo::rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo::rustc-link-arg-bins=-static");
    }
}
