//! The story, act by act.

use super::actors::COMPETITORS;
use super::cast::{Actor, Look, Part};
use super::narrator::Narrator;
use super::page::{Change, Grouped, Page};
use super::talk::{ASK, Event, Manner, Report};
use crate::{println, text};
use abi::qos::{AppType, Role};
use abi::task::{TASK_IMP_DONOR, TASK_IMP_RECEIVER};

/// The parts, by their numbers.
pub static PARTS: [Part; 5] = [
    Part {
        who: 0,
        name: "photos",
        description: "an app in front of the user",
        app_type: AppType::AppDefault,
        role: Role::Foreground,
    },
    Part {
        who: 1,
        name: "mail",
        description: "an app in App Nap",
        app_type: AppType::AppDefault,
        role: Role::Background,
    },
    Part {
        who: 2,
        name: "imaged",
        description: "an adaptive daemon: makes thumbnails",
        app_type: AppType::DaemonAdaptive,
        role: Role::Unspecified,
    },
    Part {
        who: 3,
        name: "codecd",
        description: "an adaptive daemon: decodes for imaged",
        app_type: AppType::DaemonAdaptive,
        role: Role::Unspecified,
    },
    Part {
        who: 4,
        name: "indexd",
        description: "a background daemon: always computes",
        app_type: AppType::DaemonBackground,
        role: Role::Unspecified,
    },
];

/// The actors on the stage.
struct Stage {
    narrator: Narrator,
    photos: Actor,
    mail: Actor,
    imaged: Actor,
    codecd: Actor,
    indexd: Actor,
}

/// Tells the story and returns the exit status.
pub fn tell(page: Page) -> i32 {
    let narrator = Narrator::new(page);
    let start = |who: usize| Actor::start(&PARTS[who], narrator.port());
    let (photos, mail, imaged, codecd, indexd) = (start(0), start(1), start(2), start(3), start(4));
    indexd.run(false);
    mail.nap(true);
    photos.meet(&imaged);
    mail.meet(&imaged);
    imaged.meet(&codecd);
    let mut stage = Stage { narrator, photos, mail, imaged, codecd, indexd };
    stage.introduce();
    stage.act_in_front();
    i32::from(stage.narrator.failures() > 0)
}

impl Stage {
    fn introduce(&mut self) {
        let page = self.narrator.page;
        page.heading("The cast");
        println!("  pid  name     what it is                               prio  donates    is boosted by messages");
        for actor in [&self.photos, &self.mail, &self.imaged, &self.codecd, &self.indexd] {
            let look = actor.look().expect("the actor is alive");
            let has = |flag: u64| u64::from(look.flags) & flag != 0;
            let donates = match (has(TASK_IMP_DONOR), has(TASK_IMP_RECEIVER)) {
                (true, _) => "yes",
                (false, true) => "if boosted",
                (false, false) => "no",
            };
            let receives = if has(TASK_IMP_RECEIVER) { "yes" } else { "no" };
            let Part { name, description, .. } = actor.part;
            println!("{:>5}  {name:<8} {description:<40} {:>4}  {donates:<10} {receives}", actor.pid, look.priority);
        }
    }

    fn act_in_front(&mut self) {
        self.narrator.page.heading("1  The app in front asks");
        self.indexd.run(true);
        self.narrator.begin([&self.imaged, &self.codecd]);
        self.photos.order(ASK, &[Manner::KEEP.bits()]);
        loop {
            let report = self.narrator.next();
            self.narrate(&report);
            if report.who == 2 && report.event() == Event::GoesOn {
                break;
            }
        }
        self.indexd.run(false);
    }

    fn narrate(&mut self, report: &Report) {
        let Stage { narrator, imaged, codecd, .. } = self;
        let actors = [&*imaged, &*codecd];
        let name = PARTS[report.who as usize].name;
        let (took, voucher) = (Grouped(report.took / 1000), report.voucher);
        match report.event() {
            Event::Asked => {
                let other = if report.who == 2 { "codecd" } else { "imaged" };
                narrator.tell(report.at, name, text!("asks {other}, with voucher {voucher:#x}"), actors);
            }
            Event::Received => {
                let text =
                    text!("is chosen to run; receives the request; voucher {voucher:#x} says: “{}”", report.text());
                narrator.tell(report.at, name, text, actors);
            }
            Event::Answered => {
                narrator.tell(report.at, name, text!("has answered; keeps voucher {voucher:#x}"), actors);
            }
            Event::GotAnswer => {
                narrator.tell(report.at, name, text!("has its answer after {took} µs"), actors);
            }
            Event::GivesUp => {
                let text = text!(
                    "is done after {took} µs more and gives up voucher {voucher:#x}, reference {} of {}",
                    report.references,
                    report.references
                );
                narrator.tell_later(report.at, name, text);
            }
            Event::GoesOn => {
                narrator.tell(report.at, name, text!("runs again after {took} µs"), actors);
            }
            Event::NoAnswer | Event::NoClient => {
                narrator.tell(report.at, name, text!("no"), actors);
            }
        }
    }
}
