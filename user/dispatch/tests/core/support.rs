//! What the tests have in common: tasks that send each other messages over the mock kernel.

use abi::message::{Header, MsgOption};
use abi::port::{ConstructFlags, Disposition};
use abi::{KernReturn, PortName};
use dispatch::process::Process;
use dispatch::qos::{Priority, Qos};
use dispatch::sys::Kernel;
use dispatch::sys::mock::{Mock, TaskSpec};
use dispatch::voucher::{self, Voucher};
use std::sync::Arc;
use zerocopy::{FromBytes, IntoBytes};

pub const IN: Priority = Priority::of(Qos::UserInitiated);
pub const UT: Priority = Priority::of(Qos::Utility);
pub const BG: Priority = Priority::of(Qos::Background);

/// A task with a port that accepts donation.
pub struct Task {
    pub mock: &'static Mock,
    pub process: &'static Process,
    pub port: PortName,
}

impl Task {
    fn over(mock: &'static Mock) -> Task {
        let process = Process::new(mock);
        let port = mock.construct(ConstructFlags::IMPORTANCE_RECEIVER, Some(1000)).expect("there is room");
        Task { mock, process, port }
    }

    /// Runs a function on a new thread of the task, until all that the thread had is gone.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        Mock::on_thread(self.process, f)
    }

    /// Returns the task's name for the port of another.
    pub fn port_of(&self, other: &Task) -> PortName {
        other.mock.share(other.port, self.mock)
    }

    /// Sends a message with a voucher, or with the default one. Returns the name that went with it.
    pub fn send(&self, port: PortName, voucher: Option<&Arc<Voucher>>) -> Result<PortName, KernReturn> {
        let mut message = empty_message(port);
        let attachment = voucher::attach(&mut message, voucher);
        let name = header(&message).msgh_voucher_port;
        let code = self.mock.send(&mut message, MsgOption::SEND_MSG, 0, 0);
        voucher::detach(&mut message, attachment);
        assert_eq!((header(&message).voucher(), header(&message).msgh_voucher_port), (Disposition::NONE, PortName(0)));
        if code.is_success() {
            return Ok(name);
        }
        self.mock.release_send(header(&message).msgh_remote_port);
        Err(code)
    }

    /// Receives a message that is there.
    pub fn receive(&self) -> Vec<u8> {
        self.try_receive().expect("there is a message")
    }

    /// Receives a message, if one is there.
    pub fn try_receive(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 256];
        let options = MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER | MsgOption::RCV_TIMEOUT;
        self.mock.receive(self.port, &mut buffer, options, 0, PortName(0)).code.is_success().then_some(buffer)
    }

    /// Receives a message that is there, and returns the object of its voucher.
    pub fn receive_voucher(&self) -> Option<Arc<Voucher>> {
        voucher::from_message(&mut self.receive())
    }

    /// Returns what must be the same before and after: names, references to them, objects, entries of the table.
    pub fn counts(&self) -> (usize, u32, usize, usize) {
        let process = self.process;
        (self.mock.names(), self.mock.references(), process.vouchers.live(), process.vouchers.entries())
    }
}

/// Returns an application and a daemon of one world.
pub fn app_and_daemon() -> (Task, Task) {
    let app = Mock::with_task(TaskSpec::APP);
    (Task::over(app), Task::over(app.another(TaskSpec::DAEMON)))
}

/// Returns one more task of the world.
pub fn another(task: &Task, spec: TaskSpec) -> Task {
    Task::over(task.mock.another(spec))
}

/// Returns an application that the calling thread has entered.
pub fn app() -> Task {
    let task = Task::over(Mock::new());
    task.process.enter();
    task
}

/// Returns a message without a body to a send right.
pub fn empty_message(port: PortName) -> Vec<u8> {
    let header = Header {
        msgh_bits: Disposition::COPY_SEND.0.into(),
        msgh_size: Header::SIZE as u32,
        msgh_remote_port: port,
        msgh_id: 1,
        ..Header::default()
    };
    header.as_bytes().to_vec()
}

/// Returns the header of a message.
pub fn header(message: &[u8]) -> Header {
    Header::read_from_prefix(message).expect("a message has a header").0
}
