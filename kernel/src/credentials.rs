//! The identity of a task: as the receivers of its messages see it, and its persona.

use abi::task::{PERSONA_ID_NONE, Properties};

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

/// What is known of a task beside its [`Credentials`]. Messages do not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The pid of its parent, which may have ended; 0 for the first task.
    pub parent: u32,
    /// The id of its persona, or [`PERSONA_ID_NONE`].
    pub persona: u32,
    /// What its image is entitled to.
    pub properties: Properties,
}

impl Identity {
    /// The identity of the first task.
    pub const FIRST: Identity = Identity { parent: 0, persona: PERSONA_ID_NONE, properties: Properties::empty() };

    /// Returns the identity of a child that a task of this identity and with the pid `parent` starts. A persona of 0 is
    /// the parent's. A parent that is not `privileged` passes on what it must not do itself.
    ///
    /// # Errors
    /// [`NotEntitled`] if a parent that is not privileged asks for another persona than its own, or for properties that
    /// it does not have itself.
    pub fn of_child(
        &self,
        parent: u32,
        persona: u32,
        properties: Properties,
        privileged: bool,
    ) -> Result<Identity, NotEntitled> {
        let persona = if persona == 0 { self.persona } else { persona };
        if privileged {
            return Ok(Identity { parent, persona, properties });
        }
        let restriction = Properties::NO_PROPAGATE;
        if persona != self.persona || !self.properties.contains(properties - restriction) {
            return Err(NotEntitled);
        }
        Ok(Identity { parent, persona, properties: properties | self.properties & restriction })
    }
}

/// A task asks for more than it is entitled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotEntitled;

/// The personas that the system itself uses, once they exist (vouchers 6.3.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemPersonas {
    /// The system persona.
    pub system: Option<u32>,
    /// The system-proxy persona.
    pub proxy: Option<u32>,
}

impl SystemPersonas {
    /// Adds the personas in `other`.
    ///
    /// # Errors
    /// [`Known`] if one of them is known already; nothing has changed.
    pub fn with(self, other: SystemPersonas) -> Result<SystemPersonas, Known> {
        if self.system.and(other.system).or(self.proxy.and(other.proxy)).is_some() {
            return Err(Known);
        }
        Ok(SystemPersonas { system: self.system.or(other.system), proxy: self.proxy.or(other.proxy) })
    }
}

/// The persona is known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known;
