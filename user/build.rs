//! Link arguments of the programs.

/// The link address of each program. The addresses differ from each other and from the usual one, 4 MiB, so that a
/// debugger can load the symbols of all programs.
const PLACES: [(&str, u64); 4] = [("init", 16 << 20), ("tests", 32 << 20), ("bench", 48 << 20), ("demo", 64 << 20)];

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
