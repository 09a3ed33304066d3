//! The second act: the story of photos, imaged and codecd once more, written with the libraries `dispatch` and `xpc`.
//!
//! | file | content |
//! |---|---|
//! | `actors.rs` | the three programs: ordinary clients and services, but that they report |
//! | `report.rs` | what a thread reports of itself |
//! | `stage.rs` | the narrator's view of them, and the story |
//! | `lines.rs` | what the narrator says |
//!
//! A thread that reports waits until the narrator lets it go on. Reports are plain messages to a port that accepts no
//! donation, so they change neither boosts nor the thread's voucher.

mod actors;
mod lines;
mod report;
mod stage;

use super::page::Page;

/// Plays the part of this name, or tells the story.
pub(super) fn run(part: &str) {
    match part {
        "photos" => actors::photos(),
        "imaged" => actors::imaged(),
        "codecd" => actors::codecd(),
        _ => stage::tell(Page { colour: part == "--colour" }),
    }
}
