//! What the library tells of its queues: events, and answers to a debugger.

#[expect(dead_code, reason = "the tests of queues use the rest")]
#[path = "../queues/world.rs"]
mod world;

mod answers;
mod notes;
