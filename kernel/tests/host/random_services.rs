//! Random requests of the simulation's actors to each other, and what services do with them: calls that know what they
//! want, because calls with names picked blindly hardly ever bring a voucher to a task that takes it.

use crate::message::{MachMsg, Msg, Received};
use crate::simulation::Simulation;
use crate::vouchers::{USER_DATA, current_task, it, priority, st};
use crate::world::{Actor, BUFFER, Ret};
use abi::PortName;
use abi::code::MACH_SEND_INVALID_CONTEXT;
use abi::message::*;
use abi::mig;
use abi::policy::*;
use abi::port::*;
use abi::trap::{mach, unix};
use abi::voucher::{MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_VOUCHER_ATTR_KEY_IMPORTANCE};

impl Simulation {
    /// Sends a request, serves one, or changes what becomes of requests.
    pub fn service_call(&mut self, actor: Actor) {
        match self.random.below(20) {
            0..8 => self.request_service(actor),
            8..15 => self.serve(actor),
            15 => self.drop_vouchers(actor),
            16 => self.adopt_own(actor),
            17 => self.nap(actor),
            18 => self.change_role(actor),
            _ => self.accept_donation(actor),
        }
    }

    /// Picks a name whose port is no kernel object.
    fn user_port(&mut self, actor: Actor, types: PortType) -> Option<PortName> {
        let kernel = &self.world.kernel;
        let space = self.world.space_of(actor.task);
        let fits = |right: kernel::ipc::entry::EntryRight| {
            let live = right.port().filter(|&port| kernel.ipc.live_port(port).is_some());
            right.port_type().intersects(types) && live.is_some_and(|port| !kernel.ipc.is_kernel_port(port))
        };
        let names: Vec<_> = space.iter().filter(|(_, entry)| fits(entry.right)).map(|(name, _)| name).collect();
        if names.is_empty() { None } else { Some(self.random.pick(&names)) }
    }

    /// Sends a message to another task, usually with a voucher, and sometimes with a receive right.
    fn request_service(&mut self, actor: Actor) {
        let voucher = if self.random.one_in(4) { None } else { Some(self.voucher(actor)) };
        match voucher {
            Some(MACH_PORT_NULL) => self.make_voucher_of_all(actor),
            voucher => self.send_request(actor, voucher),
        }
    }

    fn send_request(&mut self, actor: Actor, voucher: Option<PortName>) {
        let Some(to) = self.user_port(actor, PortType::SEND) else { return };
        let mut message = Msg::copy_send(to);
        if let Some(voucher) = voucher {
            let copy = Disposition::COPY_SEND;
            message = message.voucher(voucher, self.random.pick(&[copy, copy, Disposition::MOVE_SEND]));
        }
        if self.random.one_in(3)
            && let Some(reply) = self.user_port(actor, PortType::RECEIVE)
        {
            message = message.reply_to(reply, Disposition::MAKE_SEND_ONCE);
        }
        if self.random.one_in(8)
            && let Some(port) = self.user_port(actor, PortType::RECEIVE)
        {
            message = message.port(port, Disposition::MOVE_RECEIVE);
        }
        let bytes = message.encode();
        self.world.put(actor, BUFFER, &bytes);
        let mut options = MsgOption::SEND_MSG;
        options.set(MsgOption::SEND_TIMEOUT, !self.random.one_in(6));
        options.set(MsgOption::SEND_NOTIFY, self.random.one_in(4));
        options.set(MsgOption::SEND_OVERRIDE, self.random.one_in(4));
        options.set(MsgOption::SEND_PROPAGATE_QOS, self.random.one_in(4));
        options.set(MsgOption::SEND_SYNC_OVERRIDE, self.random.one_in(4));
        options.set(MsgOption::SEND_NOIMPORTANCE, self.random.one_in(8));
        let priority = self.random.pick(&[0xFF, 0x1FF, 0x4F8, 0x10FF, 0x20FF]);
        let send_size = bytes.len() as u32;
        self.make_call(actor, &MachMsg { options, send_size, priority, ..MachMsg::default() });
    }

    /// Calls `mach_msg`. Returns true if the call is over and has succeeded.
    fn make_call(&mut self, actor: Actor, args: &MachMsg) -> bool {
        self.world.start_mach_msg(actor, args);
        if !self.skips_settling {
            self.world.settle();
        }
        self.clear_failures();
        !self.skips_settling && self.world.state(actor) == Ret::Done(0)
    }

    /// Makes a voucher with a value of each manager.
    fn make_voucher_of_all(&mut self, actor: Actor) {
        let own = it(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b"");
        let content = self.random.pick(&[&b"a"[..], b"bb"]);
        let mut recipes = [current_task(), priority(0x10FF), st(USER_DATA, content)].concat();
        if self.random.one_in(2) {
            recipes.extend(own);
        }
        self.world.start_trap(actor, mach::HOST_SELF, &[]);
        let Ret::Done(host) = self.world.state(actor) else { return };
        self.world.put(actor, BUFFER, &recipes);
        let args = [host, self.world.buffer(actor), recipes.len() as u64, self.world.result(actor)];
        self.trap(actor, mach::HOST_CREATE_MACH_VOUCHER, &args);
    }

    /// Receives a queued message with its voucher, and uses what came.
    fn serve(&mut self, actor: Actor) {
        let kernel = &self.world.kernel;
        let waiting = |right: kernel::ipc::entry::EntryRight| {
            let port = right.port().filter(|_| right.port_type().contains(PortType::RECEIVE));
            port.and_then(|port| kernel.ipc.live_port(port)).is_some_and(|port| port.queue_len() > 0)
        };
        let space = self.world.space_of(actor.task);
        let names: Vec<_> = space.iter().filter(|(_, entry)| waiting(entry.right)).map(|(name, _)| name).collect();
        let receive_name = match names[..] {
            [] if self.random.one_in(4) => self.name_of(actor, PortType::RECEIVE),
            [] => return self.request_service(actor),
            _ => self.random.pick(&names),
        };
        let mut options = MsgOption::RCV_MSG | MsgOption::STRICT_REPLY;
        options.set(MsgOption::RCV_VOUCHER, !self.random.one_in(8));
        options.set(MsgOption::RCV_TIMEOUT, !self.random.one_in(8));
        let args = MachMsg { options, receive_name, receive_size: 4096, ..MachMsg::default() };
        if self.make_call(actor, &args) {
            let message = self.world.received(actor);
            self.use_message(actor, &message);
        }
    }

    /// Notes what came with a message, and sometimes answers it, drops its voucher, or its other rights.
    fn use_message(&mut self, actor: Actor, message: &Received) {
        if message.header.flags().contains(HeaderFlags::RAISEIMP) {
            self.seen.saw("importance that came with a message");
        }
        let voucher = message.header.msgh_voucher_port;
        if message.header.voucher() != Disposition::NONE && voucher.is_valid() {
            self.seen.saw("a voucher that came with a message");
        }
        for descriptor in message.descriptors() {
            if self.random.one_in(2) && descriptor.disposition == Disposition::PORT_SEND {
                self.release(actor, descriptor.name);
            }
        }
        let reply = message.header.msgh_remote_port;
        if reply.is_valid() && !self.random.one_in(4) && self.can_go_on(actor) {
            let sent = self.world.try_send(actor, &Msg::to(reply, Disposition::MOVE_SEND_ONCE));
            if sent == Err(MACH_SEND_INVALID_CONTEXT) {
                self.seen.saw("a refused strict reply");
            }
        }
        match self.random.below(4) {
            0 => self.release(actor, voucher),
            1 => self.adopt(actor, voucher),
            2 if self.can_go_on(actor) => self.send_request(actor, Some(voucher)),
            _ => {}
        }
    }

    fn can_go_on(&self, actor: Actor) -> bool {
        let is_over = |thread: &kernel::sched::thread::Thread| !thread.has_continuation();
        matches!(self.world.state(actor), Ret::Done(_))
            && self.world.kernel.sched.get(actor.thread).is_some_and(is_over)
    }

    fn release(&mut self, actor: Actor, name: PortName) {
        if name.is_valid() && self.can_go_on(actor) {
            let args = [actor.self_port.0, name.0].map(u64::from);
            self.trap(actor, mach::MACH_PORT_DEALLOCATE, &args);
        }
    }

    /// Lets the actor's thread adopt a voucher by `bsdthread_ctl`.
    fn adopt(&mut self, actor: Actor, voucher: PortName) {
        if self.can_go_on(actor) {
            let flags = u64::from(SET_SELF_VOUCHER);
            self.trap(actor, unix::BSDTHREAD_CTL, &[u64::from(BSDTHREAD_CTL_SET_SELF), 0, voucher.0.into(), flags]);
        }
    }

    fn adopt_own(&mut self, actor: Actor) {
        let voucher = if self.random.one_in(3) { MACH_PORT_NULL } else { self.voucher(actor) };
        self.adopt(actor, voucher);
    }

    /// Drops up to three vouchers, so that importance ends and there is room for more.
    fn drop_vouchers(&mut self, actor: Actor) {
        for _ in 0..=self.random.below(3) {
            let voucher = self.voucher(actor);
            if self.world.voucher_of(actor, voucher).is_some() {
                self.release(actor, voucher);
            }
        }
    }

    /// Puts a task into App Nap or takes it out: by its own request or by init's.
    fn nap(&mut self, actor: Actor) {
        let active = u32::from(self.random.one_in(5));
        let policy = [&[TASK_SUPPRESSION_POLICY, 16, active, active][..], &[0; 14]].concat();
        let (by, port) = self.random.pick(&[(actor, actor.self_port), (self.world.init, actor.task_port)]);
        let request = Msg::copy_send(port).id(mig::task::POLICY_SET).body(&mig::NDR).words(&policy);
        let _ = self.world.send_with(by, &request, MsgOption::SEND_TIMEOUT, 0);
        self.clear_failures();
    }

    /// Puts another task into the background or takes it out, or gives it a role.
    fn change_role(&mut self, actor: Actor) {
        let other = self.random.pick(&self.actors.clone());
        let Some(task) = self.world.kernel.tasks.get(other.task) else { return };
        let pid = u64::from(task.credentials.pid);
        let background = self.random.pick(&[0, 0, PRIO_DARWIN_BG]);
        let args = match self.random.below(2) {
            0 => [PRIO_DARWIN_PROCESS.into(), pid, background.into()],
            _ => [PRIO_DARWIN_ROLE.into(), pid, self.random.below(8)],
        };
        self.trap(actor, unix::SETPRIORITY, &args);
    }

    /// Lets a port accept donation, sometimes for a daemon that is started later.
    fn accept_donation(&mut self, actor: Actor) {
        let own = Some(actor.inbox).filter(|_| self.random.one_in(2));
        let Some(port) = own.or_else(|| self.user_port(actor, PortType::RECEIVE)) else { return };
        let accepts = MACH_PORT_IMPORTANCE_RECEIVER;
        let flavor = self.random.pick(&[accepts, accepts, MACH_PORT_DENAP_RECEIVER, MACH_PORT_TEMPOWNER]);
        let request = Msg::copy_send(actor.self_port).id(mig::mach_port::SET_ATTRIBUTES);
        let request = request.body(&mig::NDR).words(&[port.0, flavor, 0]);
        let _ = self.world.send_with(actor, &request, MsgOption::SEND_TIMEOUT, 0);
        self.clear_failures();
    }
}
