//! The calls of `mach_port` as test actors make them, and functions that pass rights between actors.

use crate::message::Received;
use crate::message::{MachMsg, Msg};
use crate::world::{ARGUMENTS, Actor, BUFFER, BUFFER_SIZE, RESULT, World};
use abi::message::*;
use abi::mig::{NDR, REPLY_ID_OFFSET, mach_port as mig};
use abi::port::*;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The form of a `mach_port` call that exists both as a trap and as a message. Both forms give the same results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Trap,
    Message,
}

/// The type of a name with a send right and a receive right.
pub const SEND_RECEIVE: PortType = PortType::SEND.union(PortType::RECEIVE);

/// A well-formed name that denotes no right in any test.
pub const UNUSED_NAME: PortName = PortName::new(0x42, 3);
/// Another one.
pub const UNUSED_NAME_2: PortName = PortName::new(0x43, 3);
/// A free name that a test may choose. Its index is within a name table of the smallest size.
pub const CHOSEN_NAME: PortName = PortName::new(0x32, 3);
/// A name with the same index and another generation.
pub const CHOSEN_NAME_REUSED: PortName = PortName::new(0x32, 7);

/// Runs a scenario twice: with calls by trap and with calls by message.
pub fn in_both_forms(scenario: impl Fn(World)) {
    for form in [Form::Trap, Form::Message] {
        let mut w = World::new();
        w.form = form;
        scenario(w);
    }
}

impl World {
    /// Sends a request to a kernel object and returns its reply.
    #[track_caller]
    pub fn rpc(&mut self, actor: Actor, message: Msg) -> Result<Received, KernReturn> {
        let reply = self.trap(actor, mach::MACH_REPLY_PORT, &[]).name();
        assert!(reply.is_valid(), "there is a reply port");
        let bytes = message.reply_to(reply, Disposition::MAKE_SEND_ONCE).encode();
        self.put(actor, BUFFER, &bytes);
        let args = MachMsg {
            options: MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT,
            send_size: bytes.len() as u32,
            receive_size: BUFFER_SIZE,
            receive_name: reply,
            ..MachMsg::default()
        };
        let code = self.mach_msg(actor, &args).code();
        let received = self.received(actor);
        let give_up = [actor.self_port.0, reply.0, MACH_PORT_RIGHT_RECEIVE, u32::MAX].map(u64::from);
        self.call(actor, mach::MACH_PORT_MOD_REFS, &give_up).unwrap();
        code.ok()?;
        if received.is_complex() {
            return Ok(received);
        }
        KernReturn(received.words()[2] as i32).ok()?;
        Ok(received)
    }

    /// Makes a call of a kernel object with NDR and words; returns the words behind the return code.
    #[track_caller]
    pub fn mig(&mut self, actor: Actor, to: PortName, id: i32, words: &[u32]) -> Result<Vec<u32>, KernReturn> {
        let reply = self.rpc(actor, Msg::copy_send(to).id(id).body(&NDR).words(words))?;
        assert_eq!(reply.header.msgh_id, id + REPLY_ID_OFFSET);
        Ok(reply.words()[3..].to_vec())
    }

    // The mach_port calls, for the actor's own task.

    /// Makes a call whose arguments are the same words in both forms.
    fn port_call(&mut self, actor: Actor, trap: u32, id: i32, words: &[u32]) -> Result<(), KernReturn> {
        match self.form {
            Form::Trap => self.call(actor, trap, &args_for_own_task(actor, words)),
            Form::Message => self.mig(actor, actor.self_port, id, words).map(|_| ()),
        }
    }

    /// Makes a call whose arguments are the same words in both forms and that returns a word.
    fn port_call_for_word(&mut self, actor: Actor, trap: u32, id: i32, words: &[u32]) -> Result<u32, KernReturn> {
        match self.form {
            Form::Trap => {
                let mut args = args_for_own_task(actor, words);
                args.push(self.result(actor));
                self.call_for_word(actor, trap, &args)
            }
            Form::Message => self.mig(actor, actor.self_port, id, words).map(|results| results[0]),
        }
    }

    pub fn allocate(&mut self, actor: Actor, right: u32) -> Result<PortName, KernReturn> {
        self.port_call_for_word(actor, mach::MACH_PORT_ALLOCATE, mig::ALLOCATE, &[right]).map(PortName)
    }

    /// Allocates a receive right.
    #[track_caller]
    pub fn port(&mut self, actor: Actor) -> PortName {
        self.allocate(actor, MACH_PORT_RIGHT_RECEIVE).unwrap()
    }

    /// Allocates a receive right and makes a send right under the same name.
    #[track_caller]
    pub fn port_with_send(&mut self, actor: Actor) -> PortName {
        let name = self.port(actor);
        self.insert_right(actor, name, name, Disposition::MAKE_SEND).unwrap();
        name
    }

    pub fn deallocate(&mut self, actor: Actor, name: PortName) -> Result<(), KernReturn> {
        self.port_call(actor, mach::MACH_PORT_DEALLOCATE, mig::DEALLOCATE, &[name.0])
    }

    pub fn destroy(&mut self, actor: Actor, name: PortName) -> Result<(), KernReturn> {
        self.mig(actor, actor.self_port, mig::DESTROY, &[name.0]).map(|_| ())
    }

    pub fn mod_refs(&mut self, actor: Actor, name: PortName, right: u32, delta: i32) -> Result<(), KernReturn> {
        self.port_call(actor, mach::MACH_PORT_MOD_REFS, mig::MOD_REFS, &[name.0, right, delta as u32])
    }

    pub fn insert_right(
        &mut self,
        actor: Actor,
        name: PortName,
        poly: PortName,
        disposition: Disposition,
    ) -> Result<(), KernReturn> {
        if self.form == Form::Message {
            let request = Msg::copy_send(actor.self_port).id(mig::INSERT_RIGHT).port(poly, disposition);
            return self.rpc(actor, request.body(&NDR).words(&[name.0])).map(|_| ());
        }
        let args = args_for_own_task(actor, &[name.0, poly.0, u32::from(disposition.0)]);
        self.call(actor, mach::MACH_PORT_INSERT_RIGHT, &args)
    }

    /// Calls `mach_port_extract_right`; returns the right's name and its disposition.
    pub fn extract_right(
        &mut self,
        actor: Actor,
        name: PortName,
        disposition: Disposition,
    ) -> Result<(PortName, Disposition), KernReturn> {
        let request = Msg::copy_send(actor.self_port).id(mig::EXTRACT_RIGHT).body(&NDR);
        let reply = self.rpc(actor, request.words(&[name.0, u32::from(disposition.0)]))?;
        Ok((reply.descriptor(0).name, reply.descriptor(0).disposition))
    }

    pub fn port_type(&mut self, actor: Actor, name: PortName) -> Result<PortType, KernReturn> {
        let kind = self.port_call_for_word(actor, mach::MACH_PORT_TYPE, mig::TYPE, &[name.0])?;
        Ok(PortType::from_bits(kind).expect("a type has no other bits"))
    }

    pub fn get_refs(&mut self, actor: Actor, name: PortName, right: u32) -> Result<u32, KernReturn> {
        let words = self.mig(actor, actor.self_port, mig::GET_REFS, &[name.0, right])?;
        Ok(words[0])
    }

    pub fn get_srights(&mut self, actor: Actor, name: PortName) -> Result<u32, KernReturn> {
        let words = self.mig(actor, actor.self_port, mig::GET_SRIGHTS, &[name.0])?;
        Ok(words[0])
    }

    pub fn get_attributes(
        &mut self,
        actor: Actor,
        name: PortName,
        flavor: u32,
        count: u32,
    ) -> Result<Vec<u32>, KernReturn> {
        if self.form == Form::Message {
            let words = self.mig(actor, actor.self_port, mig::GET_ATTRIBUTES, &[name.0, flavor, count])?;
            assert_eq!(words[0] as usize, words.len() - 1);
            return Ok(words[1..].to_vec());
        }
        self.put(actor, ARGUMENTS, &count.to_le_bytes());
        let info = self.result(actor);
        let args = [u64::from(actor.self_port.0), u64::from(name.0), u64::from(flavor), info, actor.memory + ARGUMENTS];
        self.call(actor, mach::MACH_PORT_GET_ATTRIBUTES, &args)?;
        let count = u32::read_from_bytes(&self.get(actor, ARGUMENTS, 4)).unwrap() as usize;
        let bytes = self.get(actor, RESULT, count * 4);
        Ok(bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect())
    }

    #[track_caller]
    pub fn status(&mut self, actor: Actor, name: PortName) -> PortStatus {
        let words = self.get_attributes(actor, name, MACH_PORT_RECEIVE_STATUS, 10).unwrap();
        let mut status = PortStatus::new_zeroed();
        status.as_mut_bytes().copy_from_slice(words.as_slice().as_bytes());
        status
    }

    /// Returns the flags in a port's status.
    #[track_caller]
    pub fn status_flags(&mut self, actor: Actor, name: PortName) -> PortStatusFlags {
        PortStatusFlags::from_bits(self.status(actor, name).mps_flags).expect("a status has no other flags")
    }

    pub fn set_attributes(
        &mut self,
        actor: Actor,
        name: PortName,
        flavor: u32,
        words: &[u32],
    ) -> Result<(), KernReturn> {
        let mut body = vec![name.0, flavor, words.len() as u32];
        body.extend(words);
        self.mig(actor, actor.self_port, mig::SET_ATTRIBUTES, &body).map(|_| ())
    }

    pub fn set_qlimit(&mut self, actor: Actor, name: PortName, limit: u32) -> Result<(), KernReturn> {
        self.set_attributes(actor, name, MACH_PORT_LIMITS_INFO, &[limit])
    }

    pub fn construct(&mut self, actor: Actor, options: PortOptions, context: u64) -> Result<PortName, KernReturn> {
        if self.form == Form::Message {
            let [low, high] = halves(context);
            let words = [options.flags, options.mpl_qlimit, 0, 0, 0, 0, low, high];
            return self.mig(actor, actor.self_port, mig::CONSTRUCT, &words).map(|results| PortName(results[0]));
        }
        self.put(actor, ARGUMENTS, options.as_bytes());
        let args = [u64::from(actor.self_port.0), actor.memory + ARGUMENTS, context, self.result(actor)];
        self.call_for_name(actor, mach::MACH_PORT_CONSTRUCT, &args)
    }

    pub fn destruct(&mut self, actor: Actor, name: PortName, delta: i32, guard: u64) -> Result<(), KernReturn> {
        if self.form == Form::Message {
            let [low, high] = halves(guard);
            let words = [name.0, delta as u32, low, high];
            return self.mig(actor, actor.self_port, mig::DESTRUCT, &words).map(|_| ());
        }
        let args = [u64::from(actor.self_port.0), u64::from(name.0), delta as u32 as u64, guard];
        self.call(actor, mach::MACH_PORT_DESTRUCT, &args)
    }

    /// Calls `mach_port_request_notification`; returns the name of the previous notify right.
    pub fn request(
        &mut self,
        actor: Actor,
        name: PortName,
        id: i32,
        sync: u32,
        notify: (PortName, Disposition),
    ) -> Result<PortName, KernReturn> {
        let (notify, disposition) = notify;
        if self.form == Form::Message {
            let request = Msg::copy_send(actor.self_port).id(mig::REQUEST_NOTIFICATION).port(notify, disposition);
            let previous = self.rpc(actor, request.body(&NDR).words(&[name.0, id as u32, sync]))?.descriptor(0);
            assert_eq!(previous.disposition, Disposition::PORT_SEND_ONCE);
            return Ok(previous.name);
        }
        let args = [
            u64::from(actor.self_port.0),
            u64::from(name.0),
            id as u32 as u64,
            u64::from(sync),
            u64::from(notify.0),
            u64::from(disposition.0),
            self.result(actor),
        ];
        self.call_for_name(actor, mach::MACH_PORT_REQUEST_NOTIFICATION, &args)
    }

    /// Returns a thread's name for its own control port.
    #[track_caller]
    pub fn thread_self(&mut self, thread: Actor) -> PortName {
        self.trap(thread, mach::THREAD_SELF, &[]).name()
    }

    /// Aborts a thread by the actor's name for its control port.
    #[track_caller]
    pub fn thread_abort(&mut self, actor: Actor, control: PortName) {
        self.rpc(actor, Msg::copy_send(control).id(abi::mig::thread_act::ABORT)).unwrap();
    }

    pub fn insert_member(&mut self, actor: Actor, member: PortName, set: PortName) -> Result<(), KernReturn> {
        self.port_call(actor, mach::MACH_PORT_INSERT_MEMBER, mig::INSERT_MEMBER, &[member.0, set.0])
    }

    pub fn extract_member(&mut self, actor: Actor, member: PortName, set: PortName) -> Result<(), KernReturn> {
        self.port_call(actor, mach::MACH_PORT_EXTRACT_MEMBER, mig::EXTRACT_MEMBER, &[member.0, set.0])
    }

    pub fn move_member(&mut self, actor: Actor, member: PortName, after: PortName) -> Result<(), KernReturn> {
        self.port_call(actor, mach::MACH_PORT_MOVE_MEMBER, mig::MOVE_MEMBER, &[member.0, after.0])
    }

    pub fn set_context(&mut self, actor: Actor, name: PortName, context: u64) -> Result<(), KernReturn> {
        let [low, high] = halves(context);
        self.mig(actor, actor.self_port, mig::SET_CONTEXT, &[name.0, low, high]).map(|_| ())
    }

    pub fn get_context(&mut self, actor: Actor, name: PortName) -> Result<u64, KernReturn> {
        let words = self.mig(actor, actor.self_port, mig::GET_CONTEXT, &[name.0])?;
        Ok(u64::from(words[0]) | u64::from(words[1]) << 32)
    }

    pub fn guard(&mut self, actor: Actor, name: PortName, guard: u64, strict: bool) -> Result<(), KernReturn> {
        if self.form == Form::Message {
            let [low, high] = halves(guard);
            let words = [name.0, low, high, u32::from(strict)];
            return self.mig(actor, actor.self_port, mig::GUARD, &words).map(|_| ());
        }
        let args = [u64::from(actor.self_port.0), u64::from(name.0), guard, u64::from(strict)];
        self.call(actor, mach::MACH_PORT_GUARD, &args)
    }

    pub fn unguard(&mut self, actor: Actor, name: PortName, guard: u64) -> Result<(), KernReturn> {
        if self.form == Form::Message {
            let [low, high] = halves(guard);
            return self.mig(actor, actor.self_port, mig::UNGUARD, &[name.0, low, high]).map(|_| ());
        }
        self.call(actor, mach::MACH_PORT_UNGUARD, &[u64::from(actor.self_port.0), u64::from(name.0), guard])
    }

    /// Receives all notifications that are queued on a port; returns their ids.
    pub fn notifications(&mut self, actor: Actor, notify: PortName) -> Vec<i32> {
        std::iter::from_fn(|| self.poll(actor, notify).ok()).map(|message| message.header.msgh_id).collect()
    }

    /// Fills a task's name table with dead names.
    #[track_caller]
    pub fn fill_names(&mut self, actor: Actor) {
        while self.allocate(actor, MACH_PORT_RIGHT_DEAD_NAME).is_ok() {}
        assert_eq!(self.allocate(actor, MACH_PORT_RIGHT_DEAD_NAME), Err(abi::code::KERN_NO_SPACE));
    }

    /// Deallocates all dead names of a task.
    pub fn free_names(&mut self, actor: Actor) {
        for (name, kind) in self.names(actor) {
            if kind == PortType::DEAD_NAME {
                self.deallocate(actor, name).unwrap();
            }
        }
    }

    /// Returns all names of a task with their types, by index.
    pub fn names(&self, actor: Actor) -> Vec<(PortName, PortType)> {
        let space = &self.space_of(actor.task);
        space.iter().map(|(name, entry)| (name, entry.right.port_type())).collect()
    }

    /// Sends a right from one task to another; returns its name in the task `to`.
    #[track_caller]
    pub fn transfer(&mut self, from: Actor, name: PortName, disposition: Disposition, to: Actor) -> PortName {
        let (mailbox, send_right) = self.connect(from, to);
        self.send(from, &Msg::to(send_right, Disposition::MOVE_SEND).port(name, disposition)).unwrap();
        let message = self.poll(to, mailbox).unwrap();
        self.mod_refs(to, mailbox, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        message.descriptor(0).name
    }

    /// Lets a port get a message by a send-once right, after which it keeps room for what the next such right is promised,
    /// and the right can be made on the fast path.
    pub fn warm_up(&mut self, actor: Actor, port: PortName) {
        self.insert_right(actor, CHOSEN_NAME, port, Disposition::MAKE_SEND_ONCE).unwrap();
        self.send(actor, &Msg::to(CHOSEN_NAME, Disposition::MOVE_SEND_ONCE)).unwrap();
        self.poll(actor, port).unwrap();
    }

    /// Creates a port in this state.
    pub fn warm_port(&mut self, actor: Actor) -> PortName {
        let port = self.port(actor);
        self.warm_up(actor, port);
        port
    }

    /// Creates a port that `to` receives from and gives `from` a send right to it. Returns the names of the receive
    /// right in `to` and of the send right in `from`.
    #[track_caller]
    pub fn connect(&mut self, from: Actor, to: Actor) -> (PortName, PortName) {
        let mailbox = self.port(to);
        (mailbox, self.give_send(to, mailbox, from))
    }

    /// Gives `to`, through init, a send right to a port that `owner` receives from; returns its name in `to`.
    #[track_caller]
    pub fn give_send(&mut self, owner: Actor, name: PortName, to: Actor) -> PortName {
        let init = self.init;
        let mut at_init = (name, Disposition::MAKE_SEND);
        if owner.task != init.task {
            self.send(owner, &Msg::copy_send(owner.to_init).port(name, Disposition::MAKE_SEND)).unwrap();
            at_init = (self.poll(init, init.inbox).unwrap().descriptor(0).name, Disposition::MOVE_SEND);
        }
        if to.task == init.task {
            return at_init.0;
        }
        self.send(init, &Msg::copy_send(to.at_init).port(at_init.0, at_init.1)).unwrap();
        self.poll(to, to.inbox).unwrap().descriptor(0).name
    }

    /// Gives each of two tasks a send right to the other's inbox, through init.
    #[track_caller]
    pub fn introduce(&mut self, a: Actor, b: Actor) {
        for (from, to) in [(a, b), (b, a)] {
            let init = self.init;
            let right = Msg::copy_send(to.at_init).port(from.at_init, Disposition::COPY_SEND);
            let _ = self.try_send(init, &right);
            let _ = self.poll(to, to.inbox);
        }
    }

    /// Gives `holder`, through init, a send right to the control port of another task; returns its name in `holder`.
    #[track_caller]
    pub fn task_port(&mut self, holder: Actor, of: Actor) -> PortName {
        let init = self.init;
        self.send(init, &Msg::copy_send(holder.at_init).port(of.task_port, Disposition::COPY_SEND)).unwrap();
        self.poll(holder, holder.inbox).unwrap().descriptor(0).name
    }
}

/// Returns the arguments of a trap whose target is the actor's own task.
fn args_for_own_task(actor: Actor, words: &[u32]) -> Vec<u64> {
    std::iter::once(&actor.self_port.0).chain(words).map(|&word| u64::from(word)).collect()
}

/// Splits a 64-bit argument into the two words of a message, the low word first.
pub fn halves(long: u64) -> [u32; 2] {
    [long as u32, (long >> 32) as u32]
}
