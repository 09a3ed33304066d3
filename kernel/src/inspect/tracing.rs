//! The trap `trace_control`: recording events, and what happens with them.

use crate::ids::{Context, VoucherId};
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use crate::outcome::Outcome;
use crate::trace::Event;
use abi::KernReturn;
use abi::code::*;
use abi::event::*;
use abi::inspect::boost;
use abi::port::PortName;
use voucher::importance::{BoostCause, BoostChange, BoostEvent};
use zerocopy::IntoBytes;

/// The greatest number of events that one call returns.
const READ_MAX: u64 = 64;

impl Kernel {
    /// `trace_control`: starts or stops recording events, or moves recorded events to the caller's buffer. Reading
    /// returns their number, the other operations a code.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` if the caller is not user 0; `KERN_NOT_SUPPORTED` for another version; `KERN_INVALID_ARGUMENT`
    /// for an unknown operation; `KERN_RESOURCE_SHORTAGE` if there is no memory for the ring. Reading returns 0 events
    /// instead, and also if the buffer cannot be written; the events that were to be written there are lost then.
    pub(crate) fn trace_control(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        operation: u32,
        version: u32,
        buffer: UserAddr,
        size: u64,
    ) -> Outcome {
        if operation == TRACE_READ {
            let allowed = version == EVENT_VERSION && self.tasks[caller.task].credentials.uid == 0;
            return Outcome::Value(if allowed { self.read_events(machine, caller, buffer, size) } else { 0 });
        }
        self.control_trace(caller, operation, version).into()
    }

    fn control_trace(&mut self, caller: Context, operation: u32, version: u32) -> Result<(), KernReturn> {
        if self.tasks[caller.task].credentials.uid != 0 {
            return Err(KERN_NO_ACCESS);
        }
        if version != EVENT_VERSION {
            return Err(KERN_NOT_SUPPORTED);
        }
        match operation {
            TRACE_STOP => {
                self.step.trace.stop();
                self.ipc.stop_boost_log();
            }
            TRACE_START | TRACE_STREAM => {
                self.ipc.start_boost_log().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
                if self.step.trace.start(operation == TRACE_STREAM).is_err() {
                    // A ring that exists needs no memory, so that nothing is being recorded yet.
                    self.ipc.stop_boost_log();
                    return Err(KERN_RESOURCE_SHORTAGE);
                }
                // The next exit makes sure that no way past the recorder is taken from then on.
                self.step.choose_again();
            }
            _ => return Err(KERN_INVALID_ARGUMENT),
        }
        Ok(())
    }

    /// `trace_note`: records what a program tells of itself. Returns true if events are recorded; otherwise nothing happens.
    pub(crate) fn trace_note(&mut self, caller: Context, note: [u64; 4], voucher: PortName) -> bool {
        if !self.step.trace.is_on() {
            return false;
        }
        let voucher = self.ipc.voucher_named(caller.space, voucher);
        let [code, object, a, b] = note;
        let arguments = [code, object, a, b, voucher.map_or(0, VoucherId::to_bits)];
        self.step.trace.record(|| Event::new(kind::NOTE, arguments));
        true
    }

    /// Moves the oldest events to a buffer of `size` bytes, and returns their number.
    fn read_events(&mut self, machine: &mut dyn Machine, caller: Context, buffer: UserAddr, size: u64) -> u64 {
        let event_size = size_of::<EventRecord>() as u64;
        let mut written = 0;
        while written < READ_MAX.min(size / event_size) {
            let Some(event) = self.step.trace.pop() else { break };
            let to = buffer.plus(written * event_size);
            if machine.copy_out(caller.address_space, to, event.as_bytes()).is_err() {
                return 0;
            }
            written += 1;
        }
        written
    }

    /// Writes all recorded events to the trace device.
    #[cold]
    pub(crate) fn stream_events(&mut self, machine: &mut dyn Machine) {
        while let Some(event) = self.step.trace.pop() {
            machine.trace_write(event.as_bytes());
        }
    }

    /// Records what importance has logged of boosts. A boost that goes from a port to a voucher is one event. The tasks
    /// that the log names must still exist.
    pub(crate) fn record_boosts(&mut self) {
        let Kernel { ipc, step, .. } = self;
        let mut added: Option<BoostEvent> = None;
        for event in ipc.logged_boosts() {
            if let Some(before) = added.take() {
                if let BoostChange::Added(BoostCause::Inherit(inherit)) = before.change
                    && let BoostChange::Dropped(BoostCause::Port(port)) = event.change
                    && before.task == event.task
                {
                    let arguments = [event.task, event.boosts, event.external, inherit.to_bits(), port];
                    step.trace.record(|| Event::new(kind::BOOST_MOVED, arguments));
                    continue;
                }
                step.trace.record(|| record(kind::BOOST_ADDED, &before));
            }
            match event.change {
                BoostChange::Added(_) => added = Some(event),
                BoostChange::Dropped(_) => step.trace.record(|| record(kind::BOOST_DROPPED, &event)),
                BoostChange::Delayed(until) => {
                    step.trace.record(|| Event::new(kind::BOOST_DELAYED, [event.task, until]));
                }
            }
        }
        if let Some(before) = added {
            step.trace.record(|| record(kind::BOOST_ADDED, &before));
        }
    }
}

/// Returns the record of a change of boosts. The task is named by the pid.
fn record(kind: u16, event: &BoostEvent) -> Event {
    let (cause, object) = match event.change {
        BoostChange::Added(cause) | BoostChange::Dropped(cause) => match cause {
            BoostCause::Port(port) => (boost::PORT, port),
            BoostCause::Inherit(inherit) => (boost::INHERIT, inherit.to_bits()),
            BoostCause::Other => (0, 0),
        },
        BoostChange::Delayed(_) => (0, 0),
    };
    Event::new(kind, [event.task, event.boosts, event.external, cause.into(), object])
}
