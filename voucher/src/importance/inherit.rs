//! [`Inherit`]: a boost that lives on in a voucher (importance 1.3).

use super::element::{ElementId, ExternCount};
use super::source::Source;
use store::{Chain, Id, Link, chained, linked};

/// The name of an inherit.
pub type InheritId = Id<Inherit>;

/// The list of inherits that follow one task's donation.
pub(super) enum Hanging {}

/// The boosts that one task received because another donated. The receiver has them until the last voucher with this
/// value is gone.
#[derive(Debug)]
pub struct Inherit {
    /// The references, as counted in importance 1.8.
    pub(super) refs: u64,
    /// The references that the voucher system was handed out and has not offered back.
    pub(super) made: u64,
    /// Whose importance it is.
    pub(super) from: Source,
    /// The task that is boosted.
    pub(super) to: ElementId,
    pub(super) depth: Depth,
    /// The outstanding boosts are counted for the boosted task now.
    pub(super) donating: bool,
    pub(super) external: ExternCount,
    /// An exec in progress holds one of the references.
    pub(super) exec: bool,
    pub(super) place: Link<Inherit>,
    pub(super) chain: Chain,
}

linked!(Inherit, Hanging: place);
chained!(Inherit: chain);

impl Inherit {
    /// Returns whose importance it is.
    pub const fn from(&self) -> Source {
        self.from
    }

    /// Returns the task that is boosted.
    pub const fn to(&self) -> ElementId {
        self.to
    }

    /// Returns the length of the chain that ends here.
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// Returns the boosts.
    pub const fn external(&self) -> ExternCount {
        self.external
    }

    /// Returns true if the outstanding boosts are counted for the boosted task now.
    pub const fn is_donating(&self) -> bool {
        self.donating
    }

    /// Returns the number of references.
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// Returns the number of references that the voucher system has.
    pub const fn made(&self) -> u64 {
        self.made
    }
}

/// The number of inherits from the origin of a chain to this one. A chain that would exceed [`MAX`](Depth::MAX) begins
/// again at its last task (importance 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Depth(u32);

impl Depth {
    /// The length of the longest chain.
    pub const MAX: u32 = 32;
    /// The bit of a chain that began again (`III_DEPTH_RESET`).
    const RESET: u32 = 0x8000_0000;
    /// The depth of an inherit from a task.
    pub(super) const FIRST: Depth = Depth(1);
    /// The depth of an inherit from the last task of a chain that has become too long.
    pub(super) const CUT: Depth = Depth(Self::RESET | 1);

    /// Returns the number of inherits.
    pub const fn length(self) -> u32 {
        self.0 & !Self::RESET
    }

    /// Returns true if the chain was cut before.
    pub const fn is_cut(self) -> bool {
        self.0 & Self::RESET != 0
    }

    /// Returns the word that stands for the depth in the reference's debugger.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Returns the depth of an inherit from one of this depth, or `None` if the chain must be cut.
    pub(super) const fn next(self) -> Option<Depth> {
        if self.length() == Self::MAX { None } else { Some(Depth(self.0 + 1)) }
    }
}
