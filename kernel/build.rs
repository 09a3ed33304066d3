//! Link arguments of the bare-metal image.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        // The last 2 GiB of the address space: what the code model `kernel` reaches.
        println!("cargo::rustc-link-arg-bins=--image-base=0xffffffff80000000");
        println!("cargo::rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo::rustc-link-arg-bins=-static");
    }
}
