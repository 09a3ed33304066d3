//! `demo hold`: the first request of the story, stopped in its middle, so that the monitor can be used to look at it.
//!
//! photos has asked imaged, imaged has asked codecd, and codecd waits with the voucher in its hand. It goes on when a
//! message with the id [`RELEASE`] comes, which the monitor's command `send` can be told to send.

use super::cast::Actor;
use super::story::{CODECD, IMAGED, PARTS, PHOTOS};
use super::talk::{ASK, Event, Manner, RELEASE, Report};
use crate::message::{Message, port_with_send};
use crate::println;

/// Lets three actors go as far as the helper, and waits until the app has its answer.
pub(super) fn run() {
    let reports = port_with_send();
    let [photos, imaged, codecd] = [PHOTOS, IMAGED, CODECD].map(|part| Actor::start(&PARTS[part], reports.name()));
    photos.meet(&imaged);
    imaged.meet(&codecd);
    photos.order(ASK, &[Manner::HOLD.bits()]);
    loop {
        let report = Report::of(&Message::receive(reports.name()).expect("the actors report"));
        match (report.who as usize, report.event()) {
            (CODECD, Event::Received) => {
                println!("photos has asked imaged, imaged has asked codecd, and codecd holds on.");
                println!("`why codecd` tells why it is boosted; a message of id {RELEASE} to codecd lets it go on.");
            }
            (PHOTOS, Event::GotAnswer) => break,
            _ => {}
        }
    }
    for actor in [&photos, &imaged, &codecd] {
        actor.end();
    }
    println!("photos has its answer, and the demo is over.");
}
