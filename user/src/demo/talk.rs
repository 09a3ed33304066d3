//! The messages between the narrator and the actors.
//!
//! An actor's bootstrap port is the narrator's. The actor sends it one hello, then reports. The narrator's priority is
//! above that of all actors, so it runs as soon as a report is sent, and the actor goes on when the narrator waits again.

use crate::message::{Call, Message};
use crate::task;
use crate::time::now;
use abi::PortName;
use abi::message::MsgOption;
use abi::port::{Disposition, MACH_PORT_NULL};
use bitflags::bitflags;
use heapless::Vec;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The id of an actor's first message, with its port and its threads.
const HELLO: i32 = 7001;
/// The id of a [`Report`].
const REPORT: i32 = 7002;
/// The id of the message that tells an actor whom to ask.
pub const MEET: i32 = 7003;
/// The id of the message that tells an app to ask.
pub const ASK: i32 = 7004;
/// The id of a request of an app or a daemon to a daemon or an app.
pub const REQUEST: i32 = 7005;
/// The id of the message that gives a daemon something to do for itself.
pub const TIDY: i32 = 7006;
/// The id of the message that tells an app to send something to another app.
pub const SHARE: i32 = 7007;
/// The id of the message that tells an app to give up its voucher.
pub const FORGET: i32 = 7008;
/// The id of the message that tells a daemon to go on, which [holds](Manner::HOLD).
pub const RELEASE: i32 = 7009;

/// The most threads of an actor.
pub const THREADS_MAX: usize = 4;

bitflags! {
    /// How a request is to be served.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Manner: u32 {
        /// Nobody reports. At the end the app reports how long it has waited.
        const SILENT = 1;
        /// All messages are sent with `MACH_SEND_NOIMPORTANCE`.
        const PLAIN = 2;
        /// The daemon keeps the voucher after its answer, for work that the client does not wait for.
        const KEEP = 4;
        /// The last daemon of the chain does nothing until a message says [`RELEASE`].
        const HOLD = 8;
    }
}

/// What an actor has done or is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// It has sent a request.
    Asked = 1,
    /// It has received a request and its voucher.
    Received = 2,
    /// It has sent the answer.
    Answered = 3,
    /// It has received the answer.
    GotAnswer = 4,
    /// Its reply right was destroyed.
    NoAnswer = 5,
    /// It has received the answer of the daemon behind it.
    GotPart = 6,
    /// It is about to give up its last reference to a voucher, which may cost it the processor at once.
    GivesUp = 7,
    /// It runs again after that.
    GoesOn = 8,
    /// It has done what it had to do for itself.
    Tidied = 9,
}

impl Event {
    const ALL: [Event; 9] = [
        Event::Asked,
        Event::Received,
        Event::Answered,
        Event::GotAnswer,
        Event::NoAnswer,
        Event::GotPart,
        Event::GivesUp,
        Event::GoesOn,
        Event::Tidied,
    ];

    fn from_number(number: u32) -> Option<Event> {
        Event::ALL.into_iter().find(|event| *event as u32 == number)
    }
}

/// Bytes for the text in which the kernel describes the importance in a voucher.
pub const TEXT_SIZE: usize = 160;

/// A report of an actor.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Report {
    /// When it was made, in ns.
    pub at: u64,
    /// Nanoseconds since what the event ends: a wait or a piece of work.
    pub took: u64,
    /// The number of the actor.
    pub who: u32,
    event: u32,
    /// The name of the voucher, or null.
    pub voucher: u32,
    /// The references that the actor has to the voucher.
    pub references: u32,
    /// The kernel's description of the importance in the voucher, padded with zeros.
    text: [u8; TEXT_SIZE],
}

impl Report {
    /// Returns a report of an event that happens now.
    pub fn new(who: u32, event: Event) -> Report {
        let event = event as u32;
        Report { at: now(), took: 0, who, event, voucher: 0, references: 0, text: [0; TEXT_SIZE] }
    }

    /// Sets the time since `start`.
    pub fn since(mut self, start: u64) -> Report {
        self.took = self.at - start;
        self
    }

    /// Adds a voucher with the description of its importance.
    pub fn voucher(mut self, voucher: PortName, references: u32, text: &[u8]) -> Report {
        (self.voucher, self.references) = (voucher.0, references);
        let length = text.len().min(TEXT_SIZE);
        self.text[..length].copy_from_slice(&text[..length]);
        self
    }

    /// Returns what has happened.
    pub fn event(&self) -> Event {
        Event::from_number(self.event).expect("an actor reports an event")
    }

    /// Returns the description of the importance in the voucher.
    pub fn text(&self) -> &str {
        let end = self.text.iter().position(|&byte| byte == 0).unwrap_or(TEXT_SIZE);
        core::str::from_utf8(&self.text[..end]).unwrap_or("?")
    }

    /// Sends the report to the narrator.
    pub fn send(&self) {
        send(Message::copy_send(task::bootstrap_port()).id(REPORT).bytes(self.as_bytes()), MsgOption::empty());
    }

    /// Reads a report out of a message.
    pub fn of(message: &Message) -> Report {
        assert_eq!(message.message_id(), REPORT, "the narrator expects a report");
        Report::read_from_prefix(message.body()).expect("a report has this size").0
    }
}

/// Sends a message that must arrive.
pub fn send(mut message: Message, options: MsgOption) {
    let options = options | MsgOption::SEND_MSG;
    let sent = message.call(&Call { options, ..Call::default() });
    assert!(sent.is_success(), "a message of the play is not sent: {sent}");
}

/// Tells the narrator the actor's number, its port and its threads.
pub fn hello(port: PortName, threads: &[PortName]) {
    let hello = Message::copy_send(task::bootstrap_port()).id(HELLO).port(port, Disposition::MAKE_SEND);
    let hello = threads.iter().fold(hello, |hello, &thread| hello.port(thread, Disposition::COPY_SEND));
    send(hello.words(&[task::pid() as u32]), MsgOption::empty());
}

/// What an actor's hello says: its pid, its port, its threads.
#[derive(Debug)]
pub struct Hello {
    /// The task's number.
    pub pid: u32,
    /// The actor's port.
    pub port: PortName,
    /// Its threads, the main thread first.
    pub threads: Vec<PortName, THREADS_MAX>,
}

impl Hello {
    /// Waits for the hello of an actor that was just started.
    pub fn receive(narrator: PortName) -> Hello {
        let message = Message::receive(narrator).expect("an actor says hello");
        assert_eq!(message.message_id(), HELLO, "an actor says hello first");
        let mut names = (0..=THREADS_MAX).filter_map(|number| {
            let view = message.view()?;
            match view.descriptors().nth(number)? {
                crate::view::Descriptor::Port(port) => Some(port.name),
                _ => None,
            }
        });
        let port = names.next().unwrap_or(MACH_PORT_NULL);
        Hello { pid: message.word(0), port, threads: names.collect() }
    }
}
