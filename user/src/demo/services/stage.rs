//! The narrator's view of the three programs, and the story.

use super::lines;
use super::report::{Event, HELLO, NARRATOR, Report};
use super::{actors, report};
use crate::demo::cast::{Actor, Part};
use crate::demo::narrator::Narrator;
use crate::demo::page::{Grouped, Page, Text};
use crate::message::Message;
use crate::monitor::work::{Answer, ask};
use crate::names::{self, Job};
use crate::port::Port;
use crate::task::{self, Spawn};
use crate::{println, text};
use abi::debug::Counts;
use abi::debugger::holder;
use abi::qos::{AppType, Qos, Role};
use abi::task::{ExitStatus, Properties};
use alloc::vec::Vec;
use core::fmt::Write;
use dispatch::qos::Priority;

pub(super) const PHOTOS: u32 = 0;
pub(super) const IMAGED: u32 = 1;
pub(super) const CODECD: u32 = 2;

/// The persona of the app.
const PERSONA: u32 = 100;
/// Microseconds in which everything that is due has happened.
const SETTLING: u64 = 5000;
/// Microseconds in which a worker idles that has nothing to do.
const IDLING: u64 = 100;
/// Microseconds between two looks at a boost that is about to end, and the number of looks.
const STEP: u64 = 5;
const LOOKS: usize = 1000;

const fn part(who: u32, name: &'static str, description: &'static str, app_type: AppType, role: Role) -> Part {
    Part { who, name, description, app_type, role }
}

/// The parts, by their numbers.
pub(super) static PARTS: [Part; 3] = [
    part(PHOTOS, "photos", "app, in front of the user", AppType::AppDefault, Role::Foreground),
    part(IMAGED, "imaged", "adaptive daemon, an XPC service", AppType::DaemonAdaptive, Role::Unspecified),
    part(CODECD, "codecd", "adaptive daemon, an XPC service", AppType::DaemonAdaptive, Role::Unspecified),
];

/// The actors, and what they have reported.
struct Stage {
    narrator: Narrator,
    actors: [Actor; 3],
    /// What the app waits with for its end.
    exit: Port,
    hops: Vec<Report>,
    /// The app's last report. The app ends when it has its reply.
    over: Option<Message>,
    /// The clock when the app asked.
    asked: u64,
    /// How often a boost of imaged had begun before the app asked.
    begun_before: u64,
}

/// Tells the story.
pub(super) fn tell(page: Page) {
    let narrator = Narrator::new(page);
    names::register(NARRATOR, narrator.port()).expect("the name is free");
    for (who, service) in [(IMAGED, actors::THUMBNAILS), (CODECD, actors::DECODER)] {
        let Part { name, app_type, role, .. } = PARTS[who as usize];
        let job = Job::new(name, "demo").service(service).argument("xpc").argument(name);
        let job = job.policy(app_type, role, Qos::Unspecified).persona(0, Properties::PLATFORM);
        names::declare(&job).expect("user 0 runs the demo");
    }
    let before = task::counts();
    let (mut stage, ready) = Stage::start(narrator);
    stage.cast();
    stage.act(ready);
    stage.table();
    stage.end(&before);
}

impl Stage {
    /// Starts the app, which connects to imaged, which connects to codecd. The name service starts both.
    fn start(mut narrator: Narrator) -> (Stage, Message) {
        let Part { name, app_type, role, .. } = PARTS[PHOTOS as usize];
        let exit = Port::new();
        let mut app = Spawn::program_as("demo", name).argument("xpc").argument(name);
        app.args.persona = PERSONA;
        app.policy(app_type, role, Qos::Unspecified).exit_port(exit.name()).start().expect("the app starts");
        let (mut ready, mut actors) = (None, [const { None }; 3]);
        while ready.is_none() || actors.iter().any(Option::is_none) {
            let message = narrator.next_message();
            if message.message_id() == HELLO {
                let who = message.word(0) as usize;
                actors[who] = Some(Actor::running(&PARTS[who], message.word(1), message.descriptor(0).name));
            } else {
                ready = Some(message);
            }
        }
        narrator.pause(SETTLING);
        let actors = actors.map(|actor| actor.expect("all have said hello"));
        let (hops, over) = (Vec::new(), None);
        let stage = Stage { narrator, actors, exit, hops, over, asked: 0, begun_before: 0 };
        (stage, ready.expect("the app is ready"))
    }

    fn page(&self) -> Page {
        self.narrator.page
    }

    /// Prints who is who.
    fn cast(&self) {
        self.page().paragraph(lines::PREFACE);
        self.page().heading("Who is who");
        println!("  pid  name    what it is                       priority");
        for actor in &self.actors {
            let look = actor.look().expect("the actor is alive");
            let Part { name, description, .. } = actor.part;
            println!("{:>5}  {name:<7} {description:<31} {:>9}", actor.pid, look.priority);
        }
        println!();
        self.page().paragraph(lines::LEGEND);
    }

    fn tell(&mut self, at: u64, who: u32, line: Text) {
        let [_, imaged, codecd] = &self.actors;
        self.narrator.tell(at, PARTS[who as usize].name, line, [imaged, codecd]);
    }

    /// Returns true if boosts of the actor last.
    fn is_boosted(&self, who: u32) -> bool {
        self.actors[who as usize].look().is_some_and(|look| look.sent + look.held > 0)
    }

    /// Returns how often a boost of imaged has begun since the app asked. Once, and it has not been interrupted.
    fn begun(&self) -> u64 {
        self.actors[IMAGED as usize].look().map_or(0, |look| look.begun) - self.begun_before
    }

    /// Lets the app ask, and narrates what follows up to the end of the last boost.
    fn act(&mut self, ready: Message) {
        self.page().heading(lines::HEADING);
        self.page().paragraph(lines::EXPLANATION);
        println!();
        let idle = !self.is_boosted(IMAGED) && !self.is_boosted(CODECD);
        self.narrator.expect("nobody is boosted before the app asks", idle);
        self.begun_before = self.begun();
        let [_, imaged, codecd] = &self.actors;
        self.narrator.begin([imaged, codecd]);
        let_go_on(ready);
        loop {
            let message = self.narrator.next_message();
            let report = Report::of(&message).expect("the actors report");
            self.hops.push(report);
            match report.event() {
                Event::Over => self.over = Some(message),
                event => {
                    self.hear(&report);
                    let_go_on(message);
                    self.follow(event);
                }
            }
            if report.event() == Event::Kept {
                break;
            }
        }
    }

    /// Narrates a report, whose thread waits.
    fn hear(&mut self, report: &Report) {
        let now = self.narrator.clock(report.at);
        if report.event() == Event::Asked {
            self.asked = now;
        }
        self.tell(report.at, report.who, lines::line(report, now - self.asked));
        let boosted = self.is_boosted(IMAGED) && self.begun() == 1;
        self.narrator.expect("imaged is boosted from the request to its last block, all the time", boosted);
        match report.event() {
            Event::Scales => self.holders("the handler has returned", holder::RUNNING),
            Event::Works => self.holders("no thread works for photos now", holder::REPLY),
            Event::HasAnswer => self.holders("goes on", holder::RUNNING),
            Event::Passed => {
                let boosted = self.is_boosted(CODECD);
                self.narrator.expect("the request of imaged boosts codecd", boosted);
            }
            Event::Replied => {
                let boosted = self.is_boosted(CODECD);
                self.narrator.expect("codecd is boosted up to the end of its block", boosted);
            }
            _ => {}
        }
    }

    /// Waits for what follows a report, whose thread goes on.
    fn follow(&mut self, event: Event) {
        match event {
            Event::Replied => self.await_end(CODECD, lines::HELPER_ENDS),
            Event::Kept => {
                self.await_end(IMAGED, lines::SERVICE_ENDS);
                self.narrator.pause(SETTLING);
                let is_over = !self.is_boosted(IMAGED) && !self.is_boosted(CODECD) && self.begun() == 1;
                self.narrator.expect("all boosts are over, and that of imaged has begun once", is_over);
            }
            _ => {}
        }
    }

    /// Waits until the boost of an actor has ended, and tells when.
    fn await_end(&mut self, who: u32, line: &str) {
        for _ in 0..LOOKS {
            self.narrator.pause(STEP);
            if !self.is_boosted(who) {
                break;
            }
        }
        self.narrator.expect("the boost ends when the worker is idle", !self.is_boosted(who));
        self.tell(self.narrator.present(), who, text!("{line}"));
    }

    /// Lets workers without work idle, asks the library in imaged what holds its voucher, and tells it. It is one thing.
    fn holders(&mut self, what: &str, kind: u32) {
        self.narrator.pause(IDLING);
        let at = self.narrator.present();
        let pid = self.actors[IMAGED as usize].pid;
        let answer = self.narrator.converse(|| ask(pid));
        let Some(Answer::Told(work)) = answer else { return self.narrator.expect("the library answers", false) };
        let mut holders = work.holders.iter().filter(|holder| holder.voucher.0 != 0);
        let (first, more) = (holders.next(), holders.next());
        let Some(held) = first.filter(|held| held.kind == kind && more.is_none()) else {
            return self.narrator.expect("the voucher is held by one thing, the right one", false);
        };
        self.tell(at, IMAGED, lines::holder(what, &work, held));
    }

    /// Prints what each hop had.
    fn table(&mut self) {
        self.page().heading("Hop by hop");
        self.page().paragraph(lines::HOPS);
        println!("\n  who     where                                 class  prio  voucher  activity  persona  for");
        let hops = core::mem::take(&mut self.hops);
        for hop in &hops {
            let Some(place) = lines::place(hop.event()) else { continue };
            let mut voucher = Text::new();
            // The text is long enough for a number.
            let _ = if hop.voucher == 0 { voucher.write_str("–") } else { write!(voucher, "{:#x}", hop.voucher) };
            let origin = self.actors.iter().find(|actor| actor.pid == hop.originator);
            println!(
                "  {:<7} {place:<38} {:<5} {:>4}  {voucher:>7}  {:>#8x}  {:>7}  {}",
                PARTS[hop.who as usize].name,
                lines::class(Priority(hop.requested).class()),
                hop.priority,
                hop.activity,
                hop.persona,
                origin.map_or("itself", |actor| actor.part.name),
            );
        }
        let one = hops.iter().filter(|hop| lines::place(hop.event()).is_some());
        let same = one.clone().all(|hop| hop.activity == hops[0].activity && hop.activity != 0);
        self.narrator.expect("all work for one activity", same);
        let in_name = one.clone().all(|hop| hop.persona == PERSONA);
        self.narrator.expect("all work in the name of the app's persona", in_name);
        let app = self.actors[PHOTOS as usize].pid;
        let for_app = one.filter(|hop| hop.who != PHOTOS).all(|hop| hop.originator == app);
        self.narrator.expect("both services work for the app", for_app);
    }

    /// Ends all programs, and compares what the kernel has with what it had.
    fn end(self, before: &Counts) {
        let Stage { mut narrator, actors, exit, over, .. } = self;
        over.into_iter().for_each(let_go_on);
        let status = task::wait_for_exit(exit.name());
        narrator.expect("the app ends", status == Ok(ExitStatus::exited(0)));
        for who in [IMAGED, CODECD] {
            names::terminate_job(PARTS[who as usize].name).expect("the job runs");
        }
        drop((actors, exit));
        let seen = |counts: &Counts| [counts.tasks, counts.threads, counts.ports, counts.messages, counts.vouchers];
        let mut after = task::counts();
        for _ in 0..LOOKS {
            if seen(&after) == seen(before) {
                break;
            }
            narrator.pause(IDLING);
            after = task::counts();
        }
        let [tasks, threads, ports, messages, vouchers] = seen(&after).map(Grouped);
        println!();
        narrator.page.paragraph(&text!(
            "photos has ended, and imaged and codecd did so when they were asked to. The kernel has as much as before \
             they were started: {tasks} tasks, {threads} threads, {ports} ports, {messages} messages, {vouchers} vouchers."
        ));
        narrator.expect("nothing is left of the three programs", seen(&after) == seen(before));
    }
}

/// Lets a thread go on that has reported.
fn let_go_on(mut report: Message) {
    if let Some(reply) = report.take_reply() {
        reply.id(report::REPORT).send_or_destroy();
    }
    report.destroy();
}
