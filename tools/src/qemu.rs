//! Booting images in QEMU, with bundles that are right or wrong.

use crate::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

/// The outcome of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit status.
    pub status: i32,
    /// Standard output; in QEMU the console.
    pub output: String,
    /// Standard error; in QEMU the log.
    pub errors: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().unwrap_or_else(|| panic!("{command:?} was killed"));
    Outcome { status, output: text(&output.stdout), errors: text(&output.stderr) }
}

/// Runs the command line, with a place of its own for its output.
pub fn command_line(arguments: &[&str]) -> Outcome {
    let place = Place::new();
    run(Command::new(root().join("run-qemu.sh")).args(arguments).env("TALLY_OUTPUT", &place.0))
}

/// A directory for one test, removed with the value.
#[derive(Debug)]
pub struct Place(pub PathBuf);

impl Place {
    /// Makes an empty directory.
    pub fn new() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tally-{}-{number}", process::id()));
        fs::create_dir_all(&path).expect("there is room for a directory");
        Place(path)
    }

    /// Writes a file in the directory and returns its path.
    pub fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("there is room for a file");
        path
    }
}

impl Default for Place {
    fn default() -> Self {
        Place::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns the directory of what is built.
pub fn target() -> PathBuf {
    env::var_os("TALLY_TARGET").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the path of an image, built if need be.
pub fn image(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let built = command_line(&["build"]);
        assert_eq!(built.status, 0, "{}", built.errors);
    });
    target().join("x86_64-unknown-none/release").join(name)
}

/// Returns a static program: one page of code at 4 MiB.
pub fn program(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 120];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0x7F, b'E', b'L', b'F', 2, 1, 1]);
    put(16, &[2, 0, 62, 0, 1, 0, 0, 0, 0x78, 0, 0x40]);
    put(32, &[64]);
    put(52, &[64, 0, 56, 0, 1]);
    put(64, &[1, 0, 0, 0, 5]);
    put(80, &[0, 0, 0x40]);
    let size = 120 + code.len() as u64;
    put(96, &size.to_le_bytes());
    put(104, &size.to_le_bytes());
    file.extend(code);
    file
}

/// Makes a bundle with these files and returns its path.
pub fn bundle(place: &Place, files: &[(&str, &[u8])]) -> PathBuf {
    let names = files.iter().map(|(name, contents)| {
        place.file(name, contents);
        name
    });
    let bundle = place.0.join("bundle.tar");
    let mut tar = Command::new("tar");
    tar.arg("--format=ustar").arg("-cf").arg(&bundle).arg("-C").arg(&place.0).args(names);
    let made = run(&mut tar);
    assert_eq!(made.status, 0, "{}", made.errors);
    bundle
}

/// Boots with a bundle, or without one, and with these further options. The errors are the log.
pub fn boot(bundle: Option<&Path>, options: &[&str]) -> Outcome {
    let place = Place::new();
    let log = place.0.join("log");
    let mut qemu = Command::new("timeout");
    qemu.args(["60", "qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-no-reboot", "-nodefaults"]);
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4", "-serial", "stdio"]);
    qemu.arg("-serial").arg(format!("file:{}", log.display()));
    qemu.arg("-kernel").arg(image("boot"));
    if let Some(bundle) = bundle {
        qemu.arg("-initrd").arg(bundle);
    }
    let outcome = run(qemu.args(options));
    Outcome { errors: fs::read_to_string(log).unwrap_or_default(), ..outcome }
}
