//! Random calls of the simulation's actors by which threads wait for each other and serve ports.

use crate::message::{MachMsg, Msg};
use crate::simulation::Simulation;
use crate::world::{Actor, BUFFER, Ret};
use abi::message::*;
use abi::port::*;
use abi::trap::{mach, tally};

impl Simulation {
    /// Waits on the special reply port of the actor's thread, usually after a request: for good or for a short time. Makes
    /// the port if the thread has none, and sometimes a new one.
    pub fn synchronous_call(&mut self, actor: Actor) {
        let known = self.world.kernel.sched[actor.thread].special_reply();
        let name_of = |port| {
            let mut names = self.world.names(actor).into_iter().map(|(name, _)| name);
            let space = self.world.space_of(actor.task);
            names.rfind(|&name| space.get(name).unwrap().right.port() == Some(port))
        };
        let Some(reply) = known.and_then(name_of).filter(|_| !self.random.one_in(8)) else {
            return self.trap(actor, mach::THREAD_GET_SPECIAL_REPLY_PORT, &[]);
        };
        let to = self.name_of(actor, PortType::SEND);
        let mut request = Msg::copy_send(to).reply_to(reply, Disposition::MAKE_SEND_ONCE);
        if self.random.one_in(3) {
            request = request.voucher(self.voucher(actor), Disposition::COPY_SEND);
        }
        let bytes = request.encode();
        self.world.put(actor, BUFFER, &bytes);
        let sends = !self.random.one_in(4);
        let mut options = MsgOption::RCV_MSG | if sends { MsgOption::SEND_MSG } else { MsgOption::RCV_SYNC_WAIT };
        options.set(MsgOption::RCV_TIMEOUT, self.random.one_in(2));
        options.set(MsgOption::RCV_VOUCHER, self.random.one_in(2));
        options.set(MsgOption::SEND_SYNC_OVERRIDE, self.random.one_in(2));
        options.set(MsgOption::SEND_TIMEOUT, self.random.one_in(2));
        let args = MachMsg {
            options,
            send_size: bytes.len() as u32,
            receive_size: self.random.pick(&[20, 4096, 4096, 4096]),
            receive_name: reply,
            timeout: self.random.pick(&[1, 10]),
            priority: to.0,
            ..MachMsg::default()
        };
        self.world.start_mach_msg(actor, &args);
        if !self.skips_settling {
            self.world.settle();
        }
        self.clear_failures();
    }

    /// Lets a thread of the actor's task, usually its own, serve a port or set, or nobody.
    pub fn bind_servicer(&mut self, actor: Actor) {
        let thread = match self.world.trap(actor, mach::THREAD_SELF, &[]) {
            Ret::Done(name) if !self.random.one_in(4) => name,
            _ if self.random.one_in(2) => 0,
            _ => self.name(actor).0.into(),
        };
        let object = self.name_of(actor, PortType::RECEIVE | PortType::PORT_SET);
        self.trap(actor, tally::PORT_BIND_SERVICER, &[object.0.into(), thread]);
    }
}
