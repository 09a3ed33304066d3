//! The hooks that the kernel calls when a message is sent and when it ends (importance 4.3, 5.4, 5.6; mach-ipc 3.10).
//! The hook of a receive with vouchers is in `receive.rs`.

use super::Importance;
use super::element::ElementId;
use super::environment::{Direction, Environment, PortBoosts, PortNumber};
use super::link::{LinkId, MessageLink};
use super::source::Source;
use crate::Error;
use store::Link;

/// How a message takes part in donation (importance 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendMode {
    /// It carries the importance of its sender.
    #[default]
    Normal,
    /// `MACH_SEND_NOIMPORTANCE`: it carries none.
    NoImportance,
    /// `MACH_SEND_IMPORTANCE`, for the kernel alone: it boosts, whoever sends it.
    Static,
}

/// A message that is being sent.
#[derive(Clone, Copy, Debug)]
pub struct SendRequest {
    /// The destination.
    pub port: PortNumber,
    /// The element of the sending task, if it has one.
    pub sender: Option<ElementId>,
    /// The importance in the voucher of the message, if it has a voucher with importance.
    pub voucher: Option<Source>,
    /// How the message takes part.
    pub mode: SendMode,
}

impl Importance {
    /// Returns true if a message needs the hook [`send`](Importance::send). For most messages one test of the port says
    /// that it does not.
    #[inline]
    pub fn needs_send(&self, boosts: &PortBoosts, sender: Option<ElementId>, mode: SendMode) -> bool {
        boosts.accepts_donation()
            && match mode {
                SendMode::Normal => match sender {
                    Some(id) => !self.elements[id].is_never_donor(),
                    None => false,
                },
                SendMode::NoImportance => false,
                SendMode::Static => true,
            }
    }

    /// Makes room for one [`send`](Importance::send), which then cannot fail: at that point the message's rights have
    /// been taken.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room.
    pub fn reserve_send(&mut self) -> Result<(), Error> {
        Ok(self.links.reserve()?)
    }

    /// Links a message to the importance of its sender and raises it if the sender is a donor: `ipc_importance_send`
    /// (importance 4.3). It is called once, before the message enters the queue or its sender waits for room.
    ///
    /// The kernel keeps the link with the message, if there is one, and passes it to [`clean`](Importance::clean) or to
    /// [`receive_importance`](super::receive_importance).
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room and none was [made](Importance::reserve_send) before; nothing
    /// has changed then.
    pub fn send(&mut self, environment: &mut dyn Environment, request: &SendRequest) -> Result<Option<LinkId>, Error> {
        let Some((boosts, _)) = environment.port(request.port) else { return Ok(None) };
        if !self.needs_send(boosts, request.sender, request.mode) {
            return Ok(None);
        }
        let sender = request.sender.filter(|_| request.mode == SendMode::Normal);
        let source = sender.map(|sender| self.choose_source(sender, request.voucher));
        let raised = sender.is_none_or(|sender| self.elements[sender].is_donor());
        let link = MessageLink { source, port: request.port, raised, place: Link::default() };
        let id = self.links.insert(link)?;
        if let (Some(sender), Some(source)) = (sender, source) {
            self.retain(source);
            self.elements[sender].messages.push_back(&mut self.links, id);
        }
        if raised {
            self.change_port(environment, request.port, Direction::Hold, 1);
        }
        Ok(Some(id))
    }

    /// Returns what a message carries. An adaptive daemon forwards importance that was given to it; everything else that
    /// a voucher says is ignored.
    fn choose_source(&self, sender: ElementId, voucher: Option<Source>) -> Source {
        match voucher {
            Some(Source::Inherit(id))
                if self.elements[sender].marks.receiver
                    && self.inherits.get(id).is_some_and(|inherit| inherit.to == sender) =>
            {
                Source::Inherit(id)
            }
            _ => Source::Task(sender),
        }
    }

    /// Ends the importance of a message that is destroyed, could not be sent, or is received without a voucher:
    /// `ipc_importance_clean`, and `ipc_importance_receive` without `MACH_RCV_VOUCHER` (importance 5.4, 5.6).
    pub fn clean(&mut self, environment: &mut dyn Environment, link: Option<LinkId>) {
        let Some(id) = link else { return };
        let link = self.unlink(id);
        if let Some(source) = link.source {
            self.release(environment, source);
        }
        if link.raised {
            self.change_port(environment, link.port, Direction::Drop, 1);
        }
    }

    /// Takes a message's link from the list of its task. The reference on its source is the caller's.
    pub(super) fn unlink(&mut self, id: LinkId) -> MessageLink {
        if let Some(source) = self.links[id].source {
            let task = self.link_task(source);
            self.skip_message(task, id);
            self.elements[task].messages.remove(&mut self.links, id);
        }
        self.links.remove(id).expect("a linked message has its link")
    }
}
