//! What a thread of an actor reports of itself.

use crate::demo::talk::TEXT_SIZE;
use crate::message::Message;
use crate::time::now;
use crate::{names, port, task, voucher};
use abi::PortName;
use abi::port::{Disposition, MACH_PORT_NULL};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_IMPORTANCE, RecipeHeader};
use core::sync::atomic::{AtomicU32, Ordering};
use dispatch::{activity, persona, thread};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The name under which the narrator has its port.
pub(super) const NARRATOR: &str = "narrator";
/// The id of the message with which an actor's main thread says that the actor is there.
pub(super) const HELLO: i32 = 7101;
/// The id of a [`Report`].
pub(super) const REPORT: i32 = 7102;

/// What has just happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Event {
    /// The app is ready, and asks when it may go on.
    Ready,
    /// The app has sent its request.
    Asked,
    /// imaged's handler has the request.
    Handles,
    /// imaged's block on its first queue begins.
    Scales,
    /// imaged's block on its second queue has asked codecd.
    Passed,
    /// codecd's handler has the request.
    Decodes,
    /// codecd's block on its queue begins.
    Works,
    /// codecd has replied.
    Replied,
    /// imaged's handler of the reply begins.
    HasPart,
    /// imaged has replied, and has submitted one more block.
    Answered,
    /// The app's handler of the reply begins.
    HasAnswer,
    /// imaged's last block ends.
    Kept,
    /// The app has nothing more to do, and ends when it may go on.
    Over,
}

impl Event {
    const ALL: [Event; 13] = [
        Event::Ready,
        Event::Asked,
        Event::Handles,
        Event::Scales,
        Event::Passed,
        Event::Decodes,
        Event::Works,
        Event::Replied,
        Event::HasPart,
        Event::Answered,
        Event::HasAnswer,
        Event::Kept,
        Event::Over,
    ];
}

/// What a thread has when it reports.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Report {
    /// The time, in ns.
    pub at: u64,
    /// The activity for which the thread works, or 0.
    pub activity: u64,
    /// The number of the actor.
    pub who: u32,
    event: u32,
    /// The thread's requested priority, a `pthread_priority_t` without flags.
    pub requested: u32,
    /// The priority that the scheduler uses.
    pub priority: u32,
    /// The persona in whose name the thread works.
    pub persona: u32,
    /// The pid of the program for which its voucher says that it works, or 0.
    pub originator: u32,
    /// The name of its voucher, or 0.
    pub voucher: u32,
    unused: u32,
    /// The kernel's description of the importance in the voucher, padded with zeros.
    text: [u8; TEXT_SIZE],
}

static PORT: AtomicU32 = AtomicU32::new(0);

/// Finds the narrator, and tells it that the actor is there, with its main thread.
pub(super) fn hello(who: u32) {
    let narrator = names::look_up(NARRATOR).expect("the narrator has its port");
    PORT.store(narrator.0, Ordering::Relaxed);
    let hello = Message::copy_send(narrator).id(HELLO).port(task::thread_self(), Disposition::MOVE_SEND);
    hello.words(&[who, task::pid() as u32]).send().expect("the narrator listens");
}

/// Reports something that has just happened, and waits until the narrator lets the thread go on.
pub(super) fn tell(who: u32, event: Event) {
    let report = Report::of_this_thread(who, event);
    let narrator = PortName(PORT.load(Ordering::Relaxed));
    let reply = Message::copy_send(narrator).id(REPORT).bytes(report.as_bytes()).rpc();
    reply.expect("the narrator lives longer").destroy();
}

impl Report {
    fn of_this_thread(who: u32, event: Event) -> Report {
        let at = now();
        let name = task::thread_self();
        let info = task::thread_info(name).expect("the thread runs");
        port::destroy_right(name, Disposition::PORT_SEND);
        let voucher = dispatch::voucher::copy().map_or(MACH_PORT_NULL, |voucher| voucher.kernel_name());
        let mut report = Report {
            at,
            activity: activity::current().activity.number(),
            who,
            event: event as u32,
            requested: thread::requested().without_flags().0,
            priority: info.base_priority,
            persona: persona::kernel_current(),
            originator: persona::originator().map_or(0, |info| info.pid as u32),
            voucher: voucher.0,
            unused: 0,
            text: [0; TEXT_SIZE],
        };
        let mut recipe = [0; size_of::<RecipeHeader>() + TEXT_SIZE];
        let size = voucher::extract(voucher, MACH_VOUCHER_ATTR_KEY_IMPORTANCE, &mut recipe).unwrap_or(0);
        let text = recipe[..size].get(size_of::<RecipeHeader>()..).unwrap_or(&[]);
        report.text[..text.len()].copy_from_slice(text);
        report
    }

    /// Reads a report out of a message. None if it is another message.
    pub(super) fn of(message: &Message) -> Option<Report> {
        let is_report = message.message_id() == REPORT;
        Report::read_from_prefix(message.body()).ok().filter(|_| is_report).map(|(report, _)| report)
    }

    /// Returns what has happened.
    pub(super) fn event(&self) -> Event {
        Event::ALL[self.event as usize]
    }

    /// Returns the description of the importance in the voucher.
    pub(super) fn text(&self) -> &str {
        let end = self.text.iter().position(|&byte| byte == 0).unwrap_or(TEXT_SIZE);
        core::str::from_utf8(&self.text[..end]).unwrap_or("?")
    }
}
