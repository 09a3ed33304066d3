//! Processor time, who pays for it, and what it costs (vouchers 6.3.9).

mod bills;
mod identity;
mod model;

use crate::unix::call;
use crate::vouchers::current_task;
use crate::world::{ARGUMENTS, Actor, BUFFER_SIZE, World};
use abi::PortName;
use abi::code::Errno;
use abi::message::MsgOption;
use abi::policy::{BSDTHREAD_CTL_SET_SELF, SET_SELF_VOUCHER};
use abi::port::Disposition as D;
use abi::trap::unix::{BSDTHREAD_CTL, PROC_INFO};
use abi::usage::{PROC_INFO_CALL_PIDRUSAGE, RUSAGE_INFO_V6, RusageInfo};
use kernel::kernel::Event;
use kernel::machine::Nanos;
use zerocopy::FromBytes;

/// What one task may read of another: its own time, what it is billed, what it has serviced.
pub type Times = (Nanos, Nanos, Nanos);

impl World {
    pub fn pid(&self, actor: Actor) -> u64 {
        self.kernel.tasks[actor.task].credentials.pid.into()
    }

    /// Calls `proc_info` for the usage of a task.
    pub fn rusage(&mut self, caller: Actor, pid: u64, flavor: u32) -> Result<RusageInfo, Errno> {
        self.put(caller, ARGUMENTS, &[0; size_of::<RusageInfo>()]);
        let at = caller.memory + ARGUMENTS;
        let result = call(self, caller, PROC_INFO, &[PROC_INFO_CALL_PIDRUSAGE.into(), pid, flavor.into(), 0, at, 0]);
        let info = RusageInfo::read_from_bytes(&self.get(caller, ARGUMENTS, size_of::<RusageInfo>())).unwrap();
        result.map(|size| {
            assert_eq!(size, 0);
            info
        })
    }

    /// Returns all that a task of user 0 reads about itself.
    pub fn own_usage(&mut self, actor: Actor) -> RusageInfo {
        let pid = self.pid(actor);
        self.rusage(actor, pid, RUSAGE_INFO_V6).unwrap()
    }

    /// Returns the times that a task reads about itself.
    pub fn times(&mut self, actor: Actor) -> Times {
        let info = self.own_usage(actor);
        (info.ri_user_time, info.ri_billed_system_time, info.ri_serviced_system_time)
    }

    /// Lets an actor run for some time, at whose end the timer comes.
    pub fn burn(&mut self, actor: Actor, time: Nanos) {
        self.occupy(actor);
        self.machine.advance(time);
        let _ = self.event(Event::Timer);
        self.settle();
    }

    /// Gives an actor the processor.
    pub fn occupy(&mut self, actor: Actor) {
        let before = self.run(actor.thread);
        self.restore_schedule(actor.thread, before);
    }

    /// Lets an actor adopt a voucher by name.
    pub fn adopt(&mut self, actor: Actor, voucher: PortName) {
        let args = [BSDTHREAD_CTL_SET_SELF, 0, voucher.0, SET_SELF_VOUCHER].map(u64::from);
        call(self, actor, BSDTHREAD_CTL, &args).unwrap();
    }

    /// Sends a voucher of task `from` to the inbox of `to`, which takes it. The account that it holds then says that
    /// `from` pays.
    pub fn send_account(&mut self, from: Actor, to: Actor) -> PortName {
        let voucher = self.make_voucher(from, &[current_task()]).unwrap();
        self.pass_voucher(from, to, voucher)
    }

    /// Sends a voucher from one task to another, which takes it.
    pub fn pass_voucher(&mut self, from: Actor, to: Actor, voucher: PortName) -> PortName {
        let (port, right) = self.connect(from, to);
        self.send(from, &crate::message::Msg::copy_send(right).voucher(voucher, D::COPY_SEND)).unwrap();
        let received = self.poll_with(to, port, MsgOption::RCV_VOUCHER, BUFFER_SIZE).unwrap();
        assert_eq!(received.header.voucher(), D::PORT_SEND);
        received.header.msgh_voucher_port
    }
}
