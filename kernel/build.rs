//! Sets the address that the kernel image is linked for.

fn main() {}
