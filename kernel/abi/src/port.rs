//! Ports: names, rights, dispositions, attributes (mach-ipc 0.4, 2).

use bitflags::bitflags;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A `mach_port_name_t`: `index << 8 | generation`, meaningful in one task only (mach-ipc 1.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct PortName(pub u32);

/// `MACH_PORT_NULL`: no port.
pub const MACH_PORT_NULL: PortName = PortName(0);
/// `MACH_PORT_DEAD`: a right whose port is dead.
pub const MACH_PORT_DEAD: PortName = PortName(0xFFFF_FFFF);

impl PortName {
    /// Returns the name with this index and this generation byte.
    pub const fn new(index: u32, generation: u8) -> PortName {
        PortName(index << 8 | generation as u32)
    }

    /// Returns the index of the entry in the name table.
    pub const fn index(self) -> u32 {
        self.0 >> 8
    }

    /// Returns the generation byte, which tells successive uses of the same entry apart.
    pub const fn generation(self) -> u8 {
        self.0 as u8
    }

    /// Returns true if the name is neither null nor dead.
    pub const fn is_valid(self) -> bool {
        self.0 != MACH_PORT_NULL.0 && self.0 != MACH_PORT_DEAD.0
    }

    /// Returns true if a program may choose this name: the two low bits are set (mach-ipc 1.3).
    pub const fn is_well_formed(self) -> bool {
        self.0 | 3 == self.0
    }
}

impl fmt::Debug for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            MACH_PORT_NULL => f.write_str("MACH_PORT_NULL"),
            MACH_PORT_DEAD => f.write_str("MACH_PORT_DEAD"),
            PortName(name) => write!(f, "0x{name:x}"),
        }
    }
}

/// `MACH_PORT_RIGHT_SEND`
pub const MACH_PORT_RIGHT_SEND: u32 = 0;
/// `MACH_PORT_RIGHT_RECEIVE`
pub const MACH_PORT_RIGHT_RECEIVE: u32 = 1;
/// `MACH_PORT_RIGHT_SEND_ONCE`
pub const MACH_PORT_RIGHT_SEND_ONCE: u32 = 2;
/// `MACH_PORT_RIGHT_PORT_SET`
pub const MACH_PORT_RIGHT_PORT_SET: u32 = 3;
/// `MACH_PORT_RIGHT_DEAD_NAME`
pub const MACH_PORT_RIGHT_DEAD_NAME: u32 = 4;
/// `MACH_PORT_RIGHT_LABELH`, obsolete: no name has it.
pub const MACH_PORT_RIGHT_LABELH: u32 = 5;
/// The number of kinds of rights.
pub const MACH_PORT_RIGHT_NUMBER: u32 = 6;

bitflags! {
    /// A `mach_port_type_t`: the kinds of rights that a name denotes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PortType: u32 {
        /// `MACH_PORT_TYPE_SEND`
        const SEND = 0x0001_0000;
        /// `MACH_PORT_TYPE_RECEIVE`
        const RECEIVE = 0x0002_0000;
        /// `MACH_PORT_TYPE_SEND_ONCE`
        const SEND_ONCE = 0x0004_0000;
        /// `MACH_PORT_TYPE_PORT_SET`
        const PORT_SET = 0x0008_0000;
        /// `MACH_PORT_TYPE_DEAD_NAME`
        const DEAD_NAME = 0x0010_0000;
        /// `MACH_PORT_TYPE_DNREQUEST`: a dead-name or send-possible request is pending.
        const DNREQUEST = 0x8000_0000;
    }
}

/// A `mach_msg_type_name_t`: the right that a sender asks to make, move or copy from a name.
///
/// A receiver sees only [`PORT_RECEIVE`](Disposition::PORT_RECEIVE), [`PORT_SEND`](Disposition::PORT_SEND),
/// [`PORT_SEND_ONCE`](Disposition::PORT_SEND_ONCE) and 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Disposition(pub u8);

impl Disposition {
    /// No right.
    pub const NONE: Disposition = Disposition(0);
    /// `MACH_MSG_TYPE_MOVE_RECEIVE`
    pub const MOVE_RECEIVE: Disposition = Disposition(16);
    /// `MACH_MSG_TYPE_MOVE_SEND`
    pub const MOVE_SEND: Disposition = Disposition(17);
    /// `MACH_MSG_TYPE_MOVE_SEND_ONCE`
    pub const MOVE_SEND_ONCE: Disposition = Disposition(18);
    /// `MACH_MSG_TYPE_COPY_SEND`
    pub const COPY_SEND: Disposition = Disposition(19);
    /// `MACH_MSG_TYPE_MAKE_SEND`
    pub const MAKE_SEND: Disposition = Disposition(20);
    /// `MACH_MSG_TYPE_MAKE_SEND_ONCE`
    pub const MAKE_SEND_ONCE: Disposition = Disposition(21);
    /// A receive right, as a receiver sees it.
    pub const PORT_RECEIVE: Disposition = Disposition::MOVE_RECEIVE;
    /// A send right, as a receiver sees it.
    pub const PORT_SEND: Disposition = Disposition::MOVE_SEND;
    /// A send-once right, as a receiver sees it.
    pub const PORT_SEND_ONCE: Disposition = Disposition::MOVE_SEND_ONCE;

    /// Returns the kind of right that this disposition produces, as a receiver sees it, or [`NONE`](Disposition::NONE)
    /// for a number without a right (mach-ipc 3.4).
    pub const fn converted(self) -> Disposition {
        match self {
            Disposition::MOVE_RECEIVE => Disposition::PORT_RECEIVE,
            Disposition::MOVE_SEND | Disposition::COPY_SEND | Disposition::MAKE_SEND => Disposition::PORT_SEND,
            Disposition::MOVE_SEND_ONCE | Disposition::MAKE_SEND_ONCE => Disposition::PORT_SEND_ONCE,
            _ => Disposition::NONE,
        }
    }

    /// Returns the kind of right that this disposition produces, as `mach_port_right_t` numbers it.
    pub const fn right(self) -> Option<u32> {
        match self.converted() {
            Disposition::PORT_RECEIVE => Some(MACH_PORT_RIGHT_RECEIVE),
            Disposition::PORT_SEND => Some(MACH_PORT_RIGHT_SEND),
            Disposition::PORT_SEND_ONCE => Some(MACH_PORT_RIGHT_SEND_ONCE),
            _ => None,
        }
    }

    /// Returns true if the disposition is valid for the destination or the reply port of a header: 17 to 21.
    pub const fn yields_send_or_send_once(self) -> bool {
        self.0 >= Disposition::MOVE_SEND.0 && self.0 <= Disposition::MAKE_SEND_ONCE.0
    }
}

/// `MACH_PORT_QLIMIT_DEFAULT`
pub const MACH_PORT_QLIMIT_DEFAULT: u32 = 5;
/// `MACH_PORT_QLIMIT_MAX`: the highest limit a program may set.
pub const MACH_PORT_QLIMIT_MAX: u32 = 1024;
/// `MACH_PORT_QLIMIT_KERNEL`: the hard limit of every queue, for every sender.
pub const MACH_PORT_QLIMIT_KERNEL: u32 = 65_534;
/// The highest count of user references; a count that reaches it stays there (mach-ipc 1.4).
pub const MACH_PORT_UREFS_MAX: u16 = 65_535;

/// `MACH_PORT_LIMITS_INFO`: the queue limit.
pub const MACH_PORT_LIMITS_INFO: u32 = 1;
/// `MACH_PORT_RECEIVE_STATUS`: a [`PortStatus`].
pub const MACH_PORT_RECEIVE_STATUS: u32 = 2;
/// `MACH_PORT_TEMPOWNER`: boosts of the port do not count for the holder of its receive right.
pub const MACH_PORT_TEMPOWNER: u32 = 4;
/// `MACH_PORT_IMPORTANCE_RECEIVER`: the port accepts donation.
pub const MACH_PORT_IMPORTANCE_RECEIVER: u32 = 5;
/// `MACH_PORT_DENAP_RECEIVER`: a synonym of [`MACH_PORT_IMPORTANCE_RECEIVER`] with a number of its own.
pub const MACH_PORT_DENAP_RECEIVER: u32 = 6;
/// `MACH_PORT_INFO_EXT`: a [`PortInfoExt`].
pub const MACH_PORT_INFO_EXT: u32 = 7;

/// `mach_port_status_t` (mach-ipc 2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortStatus {
    /// 1 if the port is in any set.
    pub mps_pset: u32,
    /// The sequence number of the next message to be received.
    pub mps_seqno: u32,
    /// The make-send count: the number of send rights that were made.
    pub mps_mscount: u32,
    /// The queue limit.
    pub mps_qlimit: u32,
    /// The number of queued messages.
    pub mps_msgcount: u32,
    /// The number of send-once rights.
    pub mps_sorights: u32,
    /// 1 if send rights exist.
    pub mps_srights: u32,
    /// 1 if a port-destroyed request is registered.
    pub mps_pdrequest: u32,
    /// 1 if a no-senders request is registered.
    pub mps_nsrequest: u32,
    /// A set of [`PortStatusFlags`].
    pub mps_flags: u32,
}

/// `mach_port_info_ext_t` (mach-ipc 2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortInfoExt {
    /// The status.
    pub mpie_status: PortStatus,
    /// The boosts on this port.
    pub mpie_boost_cnt: u32,
    /// Zero.
    pub reserved: [u32; 6],
}

bitflags! {
    /// Flags of [`PortStatus::mps_flags`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PortStatusFlags: u32 {
        /// `MACH_PORT_STATUS_FLAG_TEMPOWNER`
        const TEMPOWNER = 0x01;
        /// `MACH_PORT_STATUS_FLAG_GUARDED`
        const GUARDED = 0x02;
        /// `MACH_PORT_STATUS_FLAG_STRICT_GUARD`
        const STRICT_GUARD = 0x04;
        /// `MACH_PORT_STATUS_FLAG_IMP_DONATION`
        const IMP_DONATION = 0x08;
        /// `MACH_PORT_STATUS_FLAG_TASKPTR`
        const TASKPTR = 0x20;
        /// `MACH_PORT_STATUS_FLAG_GUARD_IMMOVABLE_RECEIVE`
        const GUARD_IMMOVABLE_RECEIVE = 0x40;
        /// `MACH_PORT_STATUS_FLAG_NO_GRANT`
        const NO_GRANT = 0x80;
    }
}

bitflags! {
    /// Flags of [`PortOptions::flags`], for `mach_port_construct` (mach-ipc 2.3).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ConstructFlags: u32 {
        /// `MPO_CONTEXT_AS_GUARD`: the context becomes the guard.
        const CONTEXT_AS_GUARD = 0x01;
        /// `MPO_QLIMIT`: take the queue limit from the options.
        const QLIMIT = 0x02;
        /// `MPO_TEMPOWNER`
        const TEMPOWNER = 0x04;
        /// `MPO_IMPORTANCE_RECEIVER`
        const IMPORTANCE_RECEIVER = 0x08;
        /// `MPO_INSERT_SEND_RIGHT`: the name also gets a send right.
        const INSERT_SEND_RIGHT = 0x10;
        /// `MPO_STRICT`: the guard is strict.
        const STRICT = 0x20;
        /// `MPO_DENAP_RECEIVER`
        const DENAP_RECEIVER = 0x40;
        /// `MPO_IMMOVABLE_RECEIVE`: the receive right cannot be sent.
        const IMMOVABLE_RECEIVE = 0x80;
        /// `MPO_FILTER_MSG`: accepted, no effect.
        const FILTER_MSG = 0x100;
        /// `MPO_TG_BLOCK_TRACKING`: needs a privileged role.
        const TG_BLOCK_TRACKING = 0x200;
        /// `MPO_SERVICE_PORT`: reserved to a service manager.
        const SERVICE_PORT = 0x400;
        /// `MPO_CONNECTION_PORT`: needs a service port.
        const CONNECTION_PORT = 0x800;
    }
}

/// `mach_port_options_t`, 24 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortOptions {
    /// A set of [`ConstructFlags`]; unknown bits are ignored.
    pub flags: u32,
    /// The queue limit, used with [`ConstructFlags::QLIMIT`].
    pub mpl_qlimit: u32,
    /// Not used by the flags that Tally supports.
    pub reserved: [u64; 2],
}

/// `MPG_STRICT`: flag of `mach_port_guard_with_flags`.
pub const MPG_STRICT: u64 = 1;
/// `MPG_IMMOVABLE_RECEIVE`: flag of `mach_port_guard_with_flags`.
pub const MPG_IMMOVABLE_RECEIVE: u64 = 2;

/// Kinds of kernel objects that ports represent, as `mach_port_kobject` reports them (mach-ipc 5.1).
pub mod ikot {
    /// An ordinary port.
    pub const NONE: u32 = 0;
    /// A thread.
    pub const THREAD_CONTROL: u32 = 1;
    /// A task.
    pub const TASK_CONTROL: u32 = 2;
    /// The host.
    pub const HOST: u32 = 3;
    /// A task, by its name port, which gives no control over it.
    pub const TASK_NAME: u32 = 20;
    /// A voucher.
    pub const VOUCHER: u32 = 37;
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::size_of;

    #[test]
    fn a_name_consists_of_index_and_generation() {
        let name = PortName::new(0x32, 0x07);
        assert_eq!(name, PortName(0x3207));
        assert_eq!((name.index(), name.generation()), (0x32, 7));
        assert!(name.is_well_formed() && name.is_valid());
        assert!(!PortName(0x3206).is_well_formed());
        assert!(!MACH_PORT_NULL.is_valid() && !MACH_PORT_DEAD.is_valid());
    }

    #[test]
    fn attribute_structures_have_the_sizes_of_the_interface() {
        assert_eq!(size_of::<PortStatus>(), 10 * 4);
        assert_eq!(size_of::<PortInfoExt>(), 17 * 4);
        assert_eq!(size_of::<PortOptions>(), 24);
    }

    #[test]
    fn a_disposition_converts_to_the_right_that_a_receiver_sees() {
        let seen: Vec<u8> = (14..=24).map(|d| Disposition(d).converted().0).collect();
        assert_eq!(seen, [0, 0, 16, 17, 18, 17, 17, 18, 0, 0, 0]);
    }
}
