//! A program that has nothing to do does nothing: no thread of the libraries makes a trap.

use super::actor::{connect, serve};
use crate::suite::tests;
use crate::time::sleep;
use crate::{check, events, println};
use abi::code::KERN_FAILURE;
use abi::event::{EventRecord, kind};
use dispatch::queue::Queue;
use xpc::Dictionary;

tests! { "xpc_idle":
    idle_libraries_make_no_trap,
}

/// Milliseconds in which the program is looked at. Workers end after seconds without work.
const IDLE: u64 = 300;

fn idle_libraries_make_no_trap() {
    let listener = serve("idle", |message| {
        if let Some(reply) = message.create_reply() {
            reply.send();
        }
    });
    let connection = connect("idle");
    connection.send_with_reply_sync(&Dictionary::new()).expect("there is a reply");
    Queue::new("idle").sync(|| {});
    // The workers have come to rest by then.
    sleep(100);
    if let Err(code) = events::start() {
        // Under `--traced` the events of this test go to the trace device.
        check::equal("why nothing can be recorded", code, KERN_FAILURE);
        return println!("(not looked at: events are streamed)");
    }
    sleep(IDLE);
    let mut traps = 0;
    let mut buffer = [EventRecord::default(); 64];
    loop {
        let read = events::read(&mut buffer);
        traps += read.iter().filter(|event| event.kind == kind::TRAP_ENTERED).count();
        // The last look finds the trap of the look before it, and no more.
        if read.len() < buffer.len() {
            break;
        }
    }
    events::stop().expect("events are recorded");
    // The end of the sleep is no trap; reading is one, and so is the sleep itself.
    check::between("traps while nothing is to be done", traps as u64, 0, 3);
    connection.cancel();
    listener.cancel();
}
