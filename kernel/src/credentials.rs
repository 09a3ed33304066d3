//! The identity of a task as the receivers of its messages see it.

/// User, group and pid of a task, as message trailers show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User; 0 is privileged.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Process number, given once only; 0 for the kernel.
    pub pid: u32,
}

impl Credentials {
    /// The identity on messages from the kernel: an all-zero audit token (mach-ipc 2.8).
    pub const KERNEL: Credentials = Credentials { uid: 0, gid: 1, pid: 0 };

    /// Returns the `security_token_t`.
    pub fn token(&self) -> [u32; 2] {
        [self.uid, self.gid]
    }

    /// Returns the `audit_token_t`: auid, euid, egid, ruid, rgid, pid, asid, pidversion (errata 6). The pid is its own
    /// version, because each pid is given once only.
    pub fn audit_words(&self) -> [u32; 8] {
        let Credentials { uid, gid, pid } = *self;
        if *self == Credentials::KERNEL { [0; 8] } else { [uid, uid, gid, uid, gid, pid, 0, pid] }
    }
}
