//! The parts of the story that consist of figures: the cast, the bill, the comparison.

use super::cast::{Actor, Part};
use super::lines;
use super::page::Grouped;
use super::story::{IMAGED, INDEXD, PARTS, PHOTOS, Stage};
use super::talk::{ASK, Event, Manner};
use crate::usage::Usage;
use crate::{println, text};
use abi::task::{TASK_DENAP_RECEIVER, TASK_IMP_DONOR, TASK_IMP_RECEIVER};

/// Requests with donation, and as many without.
const REQUESTS: u64 = 3;
/// Microseconds in which a daemon surely has a turn, with three competitors.
const TURNS: u64 = 12_000;

/// What a request has cost, in ns.
struct Measured {
    /// The time from the request to its answer.
    took: u64,
    /// The work of others for the app.
    billed: u64,
    /// The work of the competitor in this time.
    competitor: u64,
}

impl Stage {
    /// Prints who is who.
    pub(super) fn cast(&self) {
        let page = self.narrator.page;
        page.paragraph(lines::PREFACE);
        page.heading("Who is who");
        println!(
            "  pid  name    what it is                            priority  its messages boost  messages boost it"
        );
        for actor in &self.actors {
            let look = actor.look().expect("the actor is alive");
            let has = |flag: u64| u64::from(look.flags) & flag != 0;
            let donates = match (has(TASK_IMP_DONOR), has(TASK_IMP_RECEIVER)) {
                (true, _) => "yes",
                (false, true) => "while it is boosted",
                (false, false) => "no",
            };
            let receives = match (has(TASK_IMP_RECEIVER), has(TASK_DENAP_RECEIVER)) {
                (true, _) => "yes",
                (false, true) => "out of a nap",
                (false, false) => "no",
            };
            let Part { name, description, .. } = actor.part;
            println!("{:>5}  {name:<7} {description:<37} {:>8}  {donates:<19} {receives}", actor.pid, look.priority);
        }
        println!();
        page.paragraph(lines::LEGEND);
    }

    /// Returns what each actor has used so far.
    pub(super) fn usages(&self) -> [Usage; 5] {
        self.actors.each_ref().map(Actor::usage)
    }

    /// Prints who has worked and who pays, since an earlier time.
    pub(super) fn bill(&mut self, before: [Usage; 5]) {
        let page = self.narrator.page;
        page.heading("Who paid");
        page.paragraph(lines::BILL);
        println!("\n  pid  name       worked  of it for others  others worked for it     pays for      energy");
        let after = self.usages();
        let [mut billed, mut serviced] = [0; 2];
        for (actor, (before, after)) in self.actors.iter().zip(before.iter().zip(&after)) {
            let time = after.time - before.time;
            let for_others = after.serviced_time - before.serviced_time;
            let by_others = after.billed_time - before.billed_time;
            (billed, serviced) = (billed + by_others, serviced + for_others);
            let energy = |usage: &Usage| usage.energy + usage.billed_energy - usage.serviced_energy;
            let energy = Grouped((energy(after) - energy(before)) / 1000);
            let [time, for_others, by_others, pays] =
                [time, for_others, by_others, time - for_others + by_others].map(|time| Grouped(time / 1000));
            println!(
                "{:>5}  {:<7} {time:>6} µs {for_others:>14} µs {by_others:>18} µs {pays:>9} µs {energy:>8} µJ",
                actor.pid, actor.part.name
            );
        }
        self.narrator.expect("others have worked for photos", billed > 0);
        self.narrator.expect("all work for others is billed", billed == serviced);
    }

    /// Starts the daemon again that has died, and compares.
    pub(super) fn without_donation(&mut self) {
        self.actors[IMAGED] = Actor::start(&PARTS[IMAGED], self.narrator.port());
        self.introduce_daemons();
        self.narrator.page.heading("5  The same with donation off");
        self.narrator.page.paragraph(lines::COMPARISON);
        println!("\n  donation  request  answer after  others worked for photos  indexd worked meanwhile");
        self.actors[INDEXD].run(true);
        let [with, without] = [("on", Manner::empty()), ("off", Manner::PLAIN)].map(|(donation, manner)| {
            let mut sum = 0;
            for number in 1..=REQUESTS {
                let Measured { took, billed, competitor } = self.measure(manner);
                let [wait, work, other] = [took, billed, competitor].map(|time| Grouped(time / 1000));
                println!("  {donation:<8}  {number:>7} {wait:>10} µs {work:>22} µs {other:>21} µs");
                sum += took;
            }
            sum / REQUESTS
        });
        self.actors[INDEXD].run(false);
        let tenths = without * 10 / with.max(1);
        let [with, without] = [with, without].map(|time| Grouped(time / 1000));
        println!();
        self.narrator.page.paragraph(&text!(
            "Without donation the user waits {}.{} times as long for the same work: {without} µs instead of {with} µs.",
            tenths / 10,
            tenths % 10
        ));
        self.narrator.expect("with donation the answer comes at least twice as fast", tenths >= 20);
    }

    /// Lets photos ask once, without any narration.
    fn measure(&mut self, manner: Manner) -> Measured {
        self.narrator.pause(TURNS);
        let before = self.usages();
        self.actors[PHOTOS].order(ASK, &[(manner | Manner::SILENT).bits()]);
        let report = self.narrator.next_report();
        let after = self.usages();
        self.narrator.expect("photos has its answer", report.event() == Event::GotAnswer);
        Measured {
            took: report.took,
            billed: after[PHOTOS].billed_time - before[PHOTOS].billed_time,
            competitor: after[INDEXD].time - before[INDEXD].time,
        }
    }
}
