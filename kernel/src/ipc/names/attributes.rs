//! Attributes of ports: get_attributes, set_attributes, set_mscount, set_seqno, get_srights, kobject (mach-ipc 2.7,
//! 2.11).

use super::valid;
use crate::ids::SpaceId;
use crate::ipc::Ipc;
use crate::ipc::entry::EntryRight;
use crate::ipc::port::Home;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::*;
use heapless::Vec;
use zerocopy::IntoBytes;

/// The words of a flavor: at most those of the largest one.
pub(crate) type Words = Vec<u32, 17>;

impl Ipc {
    /// `mach_port_get_attributes`: returns the words of a flavor. The caller has room for `count` words.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for a flavor that cannot be read; `KERN_FAILURE` if `count` is too small;
    /// `KERN_INVALID_RIGHT` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`, or if the name has no receive right;
    /// `KERN_INVALID_NAME` if it does not exist or is a dead name.
    pub fn port_get_attributes(
        &mut self,
        space: SpaceId,
        name: PortName,
        flavor: u32,
        count: u32,
    ) -> Result<Words, KernReturn> {
        let needed = match flavor {
            MACH_PORT_LIMITS_INFO => 1,
            MACH_PORT_RECEIVE_STATUS => size_of::<PortStatus>() / 4,
            MACH_PORT_INFO_EXT => size_of::<PortInfoExt>() / 4,
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        if (count as usize) < needed {
            return Err(KERN_FAILURE);
        }
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        let port = &self.ports[port];
        Ok(match flavor {
            MACH_PORT_LIMITS_INFO => words(&port.queue_limit()),
            MACH_PORT_RECEIVE_STATUS => words(&port.status()),
            _ => {
                let mpie_boost_cnt = u32::try_from(port.boosts.count()).unwrap_or(u32::MAX);
                words(&PortInfoExt { mpie_status: port.status(), mpie_boost_cnt, ..PortInfoExt::default() })
            }
        })
    }

    /// `mach_port_set_attributes`: sets the attribute that a flavor stands for. If the queue limit gets higher, that number
    /// of blocked senders is admitted, whatever the length of the queue, and then more as long as there is room. That is
    /// work of this step.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for a flavor that cannot be set, or not for a special reply port; `KERN_FAILURE` for too few words; `KERN_INVALID_VALUE`
    /// for a queue limit out of range; `KERN_INVALID_RIGHT` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`, or if the name
    /// has no receive right; `KERN_INVALID_NAME` if it does not exist or is a dead name. Nothing has changed then.
    pub(crate) fn port_set_attributes(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        flavor: u32,
        words: &[u32],
    ) -> Result<(), KernReturn> {
        let limit = match (flavor, words) {
            (MACH_PORT_LIMITS_INFO, []) => return Err(KERN_FAILURE),
            (MACH_PORT_LIMITS_INFO, [limit, ..]) if *limit > MACH_PORT_QLIMIT_MAX => return Err(KERN_INVALID_VALUE),
            (MACH_PORT_LIMITS_INFO, [limit, ..]) => Some(*limit),
            (MACH_PORT_TEMPOWNER | MACH_PORT_IMPORTANCE_RECEIVER | MACH_PORT_DENAP_RECEIVER, _) => None,
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        match limit {
            Some(limit) => {
                self.set_queue_limit(step, port, limit);
                Ok(())
            }
            // The boosts of a task are not for the replies that its threads wait for.
            None if self.ports[port].is_special_reply() => Err(KERN_INVALID_ARGUMENT),
            None => {
                match flavor {
                    MACH_PORT_TEMPOWNER => self.set_temp_owner(port),
                    _ => self.accept_donation(port),
                }
                Ok(())
            }
        }
    }

    /// `mach_port_set_mscount`: sets the make-send count of a port.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`, or if the name has no receive right;
    /// `KERN_INVALID_NAME` if it does not exist or is a dead name. Nothing has changed then.
    pub fn port_set_mscount(&mut self, space: SpaceId, name: PortName, count: u32) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        self.ports[port].make_send_count = count;
        Ok(())
    }

    /// `mach_port_set_seqno`: sets the sequence number of the next message received from a port.
    ///
    /// # Errors
    /// Those of [`port_set_mscount`](Ipc::port_set_mscount). Nothing has changed then.
    pub fn port_set_seqno(&mut self, space: SpaceId, name: PortName, seqno: u32) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        self.ports[port].seqno = seqno;
        Ok(())
    }

    /// `mach_port_get_srights`: returns the number of send rights to a port.
    ///
    /// # Errors
    /// Those of [`port_set_mscount`](Ipc::port_set_mscount).
    pub fn port_get_srights(&mut self, space: SpaceId, name: PortName) -> Result<u32, KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        Ok(self.ports[port].send_rights)
    }

    /// `mach_port_kobject`: returns the kind of kernel object that the port of a name represents, or `ikot::NONE`.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist or is a dead name; `KERN_INVALID_RIGHT` if it has neither a send
    /// nor a receive right.
    pub fn port_kobject(&mut self, space: SpaceId, name: PortName) -> Result<u32, KernReturn> {
        let port = match self.named(space, name)?.right {
            EntryRight::Send { port, .. } | EntryRight::Receive { port, .. } => port,
            EntryRight::DeadName { .. } => return Err(KERN_INVALID_NAME),
            EntryRight::SendOnce { .. } | EntryRight::PortSet { .. } => return Err(KERN_INVALID_RIGHT),
        };
        Ok(match self.ports[port].home {
            Home::Kernel(object) => object.kind(),
            _ => ikot::NONE,
        })
    }
}

/// Returns a structure as words.
fn words(structure: &(impl IntoBytes + zerocopy::Immutable)) -> Words {
    let bytes = structure.as_bytes().chunks_exact(4);
    bytes.map(|word| u32::from_le_bytes(word.try_into().expect("a chunk has four bytes"))).collect()
}
