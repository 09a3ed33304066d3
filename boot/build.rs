//! Link arguments of the bare-metal image.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        // PVH starts the image with paging off: it is linked at the physical address where it is loaded, the first
        // one that is RAM on every PC.
        println!("cargo::rustc-link-arg-bins=--image-base=0x100000");
        println!("cargo::rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo::rustc-link-arg-bins=-static");
    }
}
