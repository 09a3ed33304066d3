//! The story, act by act.

use super::cast::{Actor, Part};
use super::lines::{self, Act, Line};
use super::narrator::{Changes, Narrator};
use super::page::{Page, Text};
use super::talk::{ASK, Event, FORGET, Manner, Report, TIDY};
use crate::{println, text};
use abi::qos::{AppType, Role};

pub(super) const PHOTOS: usize = 0;
pub(super) const MAIL: usize = 1;
pub(super) const IMAGED: usize = 2;
pub(super) const CODECD: usize = 3;
pub(super) const INDEXD: usize = 4;

const fn part(who: usize, name: &'static str, description: &'static str, app_type: AppType, role: Role) -> Part {
    Part { who: who as u32, name, description, app_type, role }
}

/// The parts, by their numbers.
pub static PARTS: [Part; 5] = [
    part(PHOTOS, "photos", "app, in front of the user", AppType::AppDefault, Role::Foreground),
    part(MAIL, "mail", "app, in App Nap", AppType::AppDefault, Role::Background),
    part(IMAGED, "imaged", "adaptive daemon, makes thumbnails", AppType::DaemonAdaptive, Role::Unspecified),
    part(CODECD, "codecd", "adaptive daemon, the helper of imaged", AppType::DaemonAdaptive, Role::Unspecified),
    part(INDEXD, "indexd", "background daemon, 3 threads compute", AppType::DaemonBackground, Role::Unspecified),
];

/// Microseconds of work that imaged has of its own, less and more than a turn of the background.
const SHORT_TIDYING: u32 = 100;
const LONG_TIDYING: u32 = 3000;
/// Microseconds after which the nap of `mail` ends while its request waits.
const NAP_LEFT: u64 = 2000;
/// Microseconds for which an app keeps its priority after its last boost, at most (importance 6.6).
const DELAYED_DROP: u64 = 1_100_000;

/// The actors on the stage, by the numbers of their parts, and the narrator.
pub(super) struct Stage {
    pub(super) narrator: Narrator,
    pub(super) actors: [Actor; 5],
    act: Act,
    /// What the clock showed when an app asked last.
    asked: u64,
}

/// Tells the story.
pub fn tell(page: Page) {
    let narrator = Narrator::new(page);
    let actors = PARTS.each_ref().map(|part| Actor::start(part, narrator.port()));
    let mut stage = Stage { narrator, actors, act: Act::Front, asked: 0 };
    stage.actors[INDEXD].run(false);
    stage.actors[MAIL].nap(true);
    stage.introduce_daemons();
    stage.cast();
    stage.in_front();
    stage.nap_of_the_sender();
    stage.nap_of_the_receiver();
    stage.death_in_the_middle();
    stage.without_donation();
    // If the monitor runs the demo they would outlive it.
    stage.actors.iter().for_each(Actor::end);
}

impl Stage {
    /// Tells the actors whom to ask.
    pub(super) fn introduce_daemons(&mut self) {
        for (asks, asked) in [(PHOTOS, IMAGED), (MAIL, IMAGED), (IMAGED, CODECD)] {
            self.actors[asks].meet(&self.actors[asked]);
        }
        self.settle();
    }

    /// Lets all actors go on until they wait for messages. indexd is suspended meanwhile.
    fn settle(&mut self) {
        self.narrator.pause(1000);
    }

    fn begin(&mut self, act: Act) {
        self.act = act;
        self.settle();
        self.narrator.page.heading(act.heading());
        self.narrator.page.paragraph(act.explanation());
        println!();
        self.narrator.begin(act.about().map(|who| &self.actors[who]));
    }

    fn tell(&mut self, at: u64, who: &'static str, line: Text) -> Changes {
        self.narrator.tell(at, who, line, self.act.about().map(|who| &self.actors[who]))
    }

    /// Tells what the narrator does or sees at present.
    fn tell_now(&mut self, who: &'static str, line: Text) -> Changes {
        self.tell(self.narrator.present(), who, line)
    }

    /// Narrates what the actors of the act report until one of them reports an event.
    fn until(&mut self, who: usize, event: Event) -> Changes {
        loop {
            let report = self.narrator.next_report();
            let seen = report.who as usize;
            let concerned = seen != CODECD || self.act.about().contains(&seen);
            let changes = if concerned { self.narrate(&report) } else { Changes::default() };
            if (seen, report.event()) == (who, event) {
                return changes;
            }
        }
    }

    fn in_front(&mut self) {
        self.begin(Act::Front);
        let before = self.usages();
        self.actors[INDEXD].run(true);
        self.actors[IMAGED].order(TIDY, &[SHORT_TIDYING]);
        self.narrator.pause(1000);
        self.tell_now("imaged", text!("wants to tidy up, and waits for its turn behind the threads of indexd"));
        self.actors[PHOTOS].order(ASK, &[Manner::KEEP.bits()]);
        let asked = self.until(PHOTOS, Event::Asked);
        self.narrator.expect("the request of photos boosts imaged", asked.rise(0) && !asked.rise(1));
        let competitor = self.actors[INDEXD].usage().time;
        let passed = self.until(IMAGED, Event::Asked);
        self.narrator.expect("the request of imaged boosts codecd", passed.rise(1));
        let back = self.until(IMAGED, Event::GotPart);
        self.narrator.expect("the boost of codecd ends with its voucher", back.fall(1) && !back.fall(0));
        let over = self.until(IMAGED, Event::GoesOn);
        self.narrator.expect("the boost of imaged ends with its voucher", over.fall(0));
        let idle = self.actors[INDEXD].usage().time == competitor;
        self.narrator.expect("indexd does not run while imaged is boosted", idle);
        self.actors[INDEXD].run(false);
        self.bill(before);
    }

    fn nap_of_the_sender(&mut self) {
        self.begin(Act::Nap);
        self.actors[INDEXD].run(true);
        // imaged is still busy when mail has its turn, so that the message of mail has to wait.
        self.actors[IMAGED].order(TIDY, &[LONG_TIDYING]);
        self.actors[MAIL].order(ASK, &[0]);
        let asked = self.until(MAIL, Event::Asked);
        self.narrator.expect("the request of a napping app boosts nobody", !asked.rise(1));
        self.narrator.pause(NAP_LEFT);
        self.actors[MAIL].nap(false);
        let line = "opens mail: the nap ends, mail donates, and its message, still unread, is a boost now";
        let awake = self.tell_now("user", text!("{line}"));
        self.narrator.expect("the end of the nap boosts imaged", awake.rise(0) && awake.rise(1));
        let back = self.until(IMAGED, Event::GoesOn);
        self.narrator.expect("imaged is in the background again", back.fall(1));
        self.actors[INDEXD].run(false);
    }

    fn nap_of_the_receiver(&mut self) {
        self.actors[MAIL].nap(true);
        self.begin(Act::Lift);
        self.actors[PHOTOS].share_with(&self.actors[MAIL]);
        let asked = self.until(PHOTOS, Event::Asked);
        self.narrator.expect("the message lifts the nap", asked.rise(1));
        self.until(MAIL, Event::Received);
        self.narrator.pause(1000);
        self.actors[PHOTOS].nap(true);
        let hidden =
            self.tell_now("user", text!("hides photos: it naps, and its boosts end; mail stays awake for now"));
        self.narrator.expect("the priority of mail stays", !hidden.fall(1));
        self.narrator.pause(DELAYED_DROP);
        let late = self.tell_now("kernel", text!("the time is over, and mail naps on"));
        self.narrator.expect("the nap goes on", late.fall(1));
        self.actors[PHOTOS].nap(false);
        self.actors[MAIL].order(FORGET, &[]);
        while self.narrator.next_report().event() != Event::GoesOn {}
    }

    fn death_in_the_middle(&mut self) {
        self.begin(Act::Death);
        self.actors[INDEXD].run(true);
        self.actors[PHOTOS].order(ASK, &[0]);
        self.until(CODECD, Event::Received);
        self.narrator.pause(500);
        self.actors[IMAGED].end();
        let dead = self.tell_now("user", text!("kills imaged; its vouchers end, and the boost of codecd with them"));
        self.narrator.expect("the boost of codecd ends with imaged", dead.fall(1));
        self.until(CODECD, Event::Answered);
        self.actors[INDEXD].run(false);
        while self.narrator.next_report().event() != Event::GivesUp {}
    }

    /// Prints the row of a report.
    fn narrate(&mut self, report: &Report) -> Changes {
        let name = lines::name(report);
        let now = self.narrator.clock(report.at);
        let took = match (report.who as usize, report.event()) {
            (PHOTOS | MAIL, Event::Asked) => {
                self.asked = now;
                0
            }
            (PHOTOS | MAIL, Event::GotAnswer) => now.saturating_sub(self.asked),
            _ => report.took / 1000,
        };
        match lines::line(self.act, report, took) {
            Line::Done(text) => self.tell(report.at, name, text),
            Line::Ahead(text) => {
                self.narrator.tell_later(report.at, name, text);
                Changes::default()
            }
            Line::None => self.narrator.finish(self.act.about().map(|who| &self.actors[who])),
        }
    }
}
