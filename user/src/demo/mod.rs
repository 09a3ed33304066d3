//! The demo: five tasks, what they send each other, and what the kernel makes of it. Its second act, `demo xpc`, is in
//! `services`.

pub mod actors;
pub mod cast;
mod figures;
mod hold;
pub mod lines;
pub mod narrator;
pub mod page;
mod services;
pub mod story;
pub mod talk;

use crate::sys::Arguments;
use page::Page;

/// Plays the part that the first argument names, stops in the middle for `hold`, or tells the story; with `xpc` the same for
/// the second act. Returns the exit status.
pub fn run(mut arguments: Arguments) -> i32 {
    let part = arguments.nth(1).unwrap_or("");
    let who = story::PARTS.iter().find(|candidate| candidate.name == part).map(|part| part.who);
    match (part, who) {
        ("photos" | "mail", Some(who)) => actors::app(who),
        ("imaged", Some(who)) => actors::daemon(who, actors::MIDDLE),
        ("codecd", Some(who)) => actors::daemon(who, actors::HELPER),
        ("indexd", _) => actors::competitor(),
        ("hold", _) => hold::run(),
        ("xpc", _) => services::run(arguments.next().unwrap_or("")),
        _ => story::tell(Page { colour: part == "--colour" }),
    }
    0
}
