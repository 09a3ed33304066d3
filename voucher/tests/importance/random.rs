//! Random operations on a world. After each one all invariants hold, and the counts are those of the model; at the end
//! nothing is left. Each seed is played twice: in the second game changes go on in slices between the operations, and the
//! counts are compared when no slice is left.
//!
//! A failure names its seed and step. `TALLY_SEED=… cargo test -p voucher --test importance random` runs that seed again,
//! and `TALLY_STEPS` sets the number of operations for each seed.

use crate::model::{Model, Moved, Sending};
use crate::replayer::state;
use crate::world::{Holder, Kind, Mode, Send, World};
use abi::voucher::{
    MACH_VOUCHER_ATTR_COPY as COPY, MACH_VOUCHER_ATTR_IMPORTANCE_SELF as SELF, MACH_VOUCHER_ATTR_KEY_ALL as ALL,
    MACH_VOUCHER_ATTR_REDEEM as REDEEM, MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE,
};
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use voucher::importance::{InheritId, Marks, SendMode, Source};
use voucher::{Key, VoucherId};

const SEEDS: std::ops::Range<u64> = 0..60;
const STEPS: u64 = 400;
const TASKS_MAX: usize = 9;
const PORTS_MAX: usize = 12;
/// The largest limits of queues.
const SHORT_QUEUE: u64 = 5;
const LONG_QUEUE: u64 = 40;
const TIMED_OUT: u32 = 0x1000_0004;
/// The most visits of a slice.
const VISITS_MAX: u64 = 4;

/// Numbers that look random, the same for each seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() { None } else { Some(from[self.below(from.len() as u64) as usize].clone()) }
    }
}

/// A world with a model, and the numbers that decide what happens in it.
struct Player {
    random: Random,
    world: World,
    model: Model,
    names: u64,
    /// Changes go on in slices.
    slices: bool,
    /// The operations that began while something was left of earlier ones.
    overlapping: usize,
}

impl Player {
    fn new_name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn tasks(&self) -> Vec<String> {
        self.world.kernel.tasks.iter().filter(|task| !task.ended).map(|task| task.name.clone()).collect()
    }

    fn task(&mut self) -> Option<String> {
        let tasks = self.tasks();
        self.random.pick(&tasks)
    }

    /// Returns the live ports, with the task that has each one.
    fn ports(&self) -> Vec<(String, Option<String>)> {
        let live = self.world.kernel.ports.iter().flatten();
        let owner = |holder| match holder {
            Holder::Task(task) => Some(self.world.kernel.tasks[task].name.clone()),
            Holder::Transit(_) | Holder::Limbo => None,
        };
        live.map(|port| (port.name.clone(), owner(port.holder))).collect()
    }

    fn port(&mut self) -> Option<String> {
        let ports = self.ports();
        self.random.pick(&ports).map(|(port, _)| port)
    }

    fn held_port(&mut self) -> Option<(String, String)> {
        let ports: Vec<_> = self.ports().into_iter().filter_map(|(port, owner)| Some((port, owner?))).collect();
        self.random.pick(&ports)
    }

    fn voucher_of(&mut self, task: &str) -> Option<VoucherId> {
        let vouchers: Vec<VoucherId> = self.world.kernel.task(task).vouchers.keys().copied().collect();
        self.random.pick(&vouchers)
    }

    /// Performs one operation.
    fn step(&mut self) -> Option<()> {
        // Changes are long where much hangs on a task, and that takes messages which are not received at once.
        if self.slices {
            match self.random.below(100) {
                0..15 => return self.nap(),
                15..40 => return self.send(),
                _ => {}
            }
        }
        match self.random.below(100) {
            0..=5 => self.spawn(),
            6 => {
                let (parent, child) = (self.task()?, self.new_name("t"));
                if self.tasks().len() < TASKS_MAX {
                    self.world.fork(&parent, &child);
                }
            }
            7 => {
                let (old, new) = (self.task()?, self.new_name("t"));
                self.world.exec(&old, &new);
            }
            8 => {
                let task = self.task()?;
                self.world.exit(&task);
            }
            9..=14 => self.create_port()?,
            15..=18 => self.change_port()?,
            19..=49 => self.send()?,
            50..=77 => self.receive()?,
            78..=83 => {
                let task = self.task()?;
                let voucher = self.voucher_of(&task)?;
                self.world.drop_voucher(&task, voucher);
            }
            84..=86 => self.create_voucher()?,
            87..=88 => self.drop_external()?,
            89..=94 => self.policy()?,
            95 => self.interrupt()?,
            _ => self.advance(),
        }
        Some(())
    }

    fn spawn(&mut self) {
        if self.tasks().len() >= TASKS_MAX {
            return;
        }
        let name = self.new_name("t");
        let kinds = [Kind::App, Kind::App, Kind::Adaptive, Kind::Adaptive, Kind::Adaptive, Kind::Standard, Kind::Other];
        let kind = self.random.pick(&kinds).expect("there are kinds");
        // Some tasks are both kinds of receivers at once.
        let both = Marks { receiver: true, ..kind.marks() };
        let marks = if kind == Kind::App && self.random.chance(15) { both } else { kind.marks() };
        let watched = self.port().filter(|_| kind == Kind::Adaptive);
        let watch: Vec<&str> = watched.as_deref().into_iter().collect();
        self.world.spawn(&name, kind, 1, marks, &watch);
    }

    fn create_port(&mut self) -> Option<()> {
        let task = self.task()?;
        if self.ports().len() < PORTS_MAX {
            let limit_max = if self.slices { LONG_QUEUE } else { SHORT_QUEUE };
            let (name, limit) = (self.new_name("p"), 1 + self.random.below(limit_max) as usize);
            let donation = self.random.chance(85);
            self.world.port(&name, &task, donation, limit);
        }
        Some(())
    }

    fn change_port(&mut self) -> Option<()> {
        let (port, _) = self.held_port()?;
        match self.random.below(6) {
            0 | 1 => self.world.set_temp_owner(&port),
            2 => self.world.destroy_port(&port),
            3 => self.world.set_donation(&port),
            4 => {
                let notify = self.port()?;
                self.world.request_port_destroyed(&port, &notify);
            }
            _ => {
                let task = self.task()?;
                self.world.request_send_possible(&task, &port);
            }
        }
        Some(())
    }

    fn send(&mut self) -> Option<()> {
        let (mut task, port) = (self.task()?, self.port()?);
        let holders = self.world.kernel.tasks.iter().filter(|task| !task.vouchers.is_empty());
        let holders: Vec<String> = holders.map(|task| task.name.clone()).collect();
        // Often the sender has a voucher to forward.
        let forwards = self.random.chance(50) && !holders.is_empty();
        if forwards {
            task = self.random.pick(&holders)?;
        }
        let mut send = Send { block: self.random.chance(30), notify: self.random.chance(10), ..Send::default() };
        send.mode = match self.random.below(10) {
            0 => SendMode::NoImportance,
            1 => SendMode::Static,
            _ => SendMode::Normal,
        };
        if forwards {
            send.voucher = self.voucher_of(&task);
            send.move_voucher = self.random.chance(25);
        }
        if self.random.chance(12) {
            // A voucher whose only reference is moved in the header cannot be copied in the body.
            let body = self.voucher_of(&task).filter(|_| !send.move_voucher);
            send.body_vouchers.extend(body);
        }
        if self.random.chance(15) {
            let own = self.ports().into_iter().filter(|(_, owner)| owner.as_ref() == Some(&task));
            let own: Vec<String> = own.map(|(port, _)| port).collect();
            send.rights.extend(self.random.pick(&own).map(|port| self.world.port_number(&port)));
        }
        // A request stays armed, a port that comes back has lost its temporary owner, and a copy of a voucher comes back
        // as one more reference (importance 3.4, 4.6; mach-ipc 3.11).
        let is_owned = |&right: &u64| self.world.kernel.port_of(right).is_some_and(|port| !port.boosts.is_temp_owner());
        let undone = !send.notify && send.body_vouchers.is_empty() && send.rights.iter().all(is_owned);
        let before = state(&self.world);
        let donors = self.model.donors().clone();
        let fixed = send.mode == SendMode::Static;
        let sending = self.sending(&task, &port, &send);
        let (message, result) = self.world.send(&task, &port, send);
        if result == Some(TIMED_OUT) {
            self.model.refused(&self.world, &sending);
            // A moment can light a ring of tasks that boost each other, and a napping application that it has boosted
            // stays a donor until the delayed drop. The model knows about both.
            if undone && !self.slices && *self.model.donors() == donors {
                let (before, after) = without_moment(before, state(&self.world));
                assert_eq!(after, before, "a failed send leaves no trace");
            }
        } else if !sending.rights.is_empty() {
            self.model.left(&self.world, &sending);
        }
        self.model.sent(&self.world, message?, fixed);
        Some(())
    }

    /// Returns what the model must know of a message that is about to be sent.
    fn sending(&self, task: &str, port: &str, send: &Send) -> Sending {
        let element = self.world.element(task);
        let can_donate = self.world.importance.element(element).is_some_and(|element| !element.is_never_donor());
        let port = self.world.port_number(port);
        let accepts = self.world.kernel.port_of(port).is_some_and(|port| port.boosts.accepts_donation());
        Sending {
            follows: Some(element).filter(|_| accepts && can_donate && send.mode == SendMode::Normal),
            fixed: accepts && send.mode == SendMode::Static,
            port,
            rights: send.rights.iter().map(|&right| Moved::new(&self.world, right)).collect(),
        }
    }

    fn receive(&mut self) -> Option<()> {
        let waiting = self.world.kernel.ports.iter().flatten().filter(|port| !port.queue.is_empty());
        let waiting: Vec<(String, usize)> = waiting
            .filter_map(|port| match port.holder {
                Holder::Task(task) => Some((port.name.clone(), task)),
                Holder::Transit(_) | Holder::Limbo => None,
            })
            .collect();
        let (port, task) = self.random.pick(&waiting)?;
        let task = self.world.kernel.tasks[task].name.clone();
        let mode = match self.random.below(30) {
            0 => Mode::LargeKeep,
            1 => Mode::LargeDestroy,
            2 => Mode::CopyoutFail,
            _ => Mode::Plain,
        };
        let want_voucher = self.random.chance(80);
        let received = self.world.receive(&task, &port, want_voucher, mode);
        if mode == Mode::Plain && want_voucher && received.raised {
            self.model.received(&self.world, received.message?, received.voucher);
        }
        if mode == Mode::CopyoutFail && want_voucher {
            let element = self.world.element(&task);
            self.model.flashed(&self.world, received.message?, element);
            self.model.lost(&self.world);
        }
        Some(())
    }

    fn create_voucher(&mut self) -> Option<()> {
        let task = self.task()?;
        let previous = self.voucher_of(&task);
        let recipes = match self.random.below(3) {
            0 => vec![(2, SELF, None, vec![])],
            1 => vec![(ALL, COPY, previous, vec![]), (7, STORE, None, vec![self.random.below(3) as u8])],
            _ => vec![(2, REDEEM, previous, vec![])],
        };
        self.world.create_voucher(&task, &recipes).expect("the recipes are valid");
        Some(())
    }

    fn drop_external(&mut self) -> Option<()> {
        let task = self.task()?;
        let voucher = self.voucher_of(&task)?;
        let boosts = self.random.below(4);
        let result = self.world.command(&task, voucher, 2, &(boosts as u32).to_le_bytes(), 0);
        let handle = self.world.vouchers.registry.handle(voucher, Key::IMPORTANCE);
        if let (Ok(_), Some(Source::Inherit(id)), true) = (result, handle.and_then(Source::from_handle), boosts > 0) {
            self.model.gave_back(id, boosts);
        }
        Some(())
    }

    /// Lets the task on which most messages hang nap or wake up.
    fn nap(&mut self) -> Option<()> {
        let tasks = self.tasks();
        let messages = |task: &&String| self.world.importance.linked_messages(self.world.element(task));
        let busiest = tasks.iter().max_by_key(messages)?;
        self.world.set_policy(busiest, |task| task.napped = !task.napped);
        Some(())
    }

    fn policy(&mut self) -> Option<()> {
        let (task, value) = (self.task()?, self.random.chance(50));
        match self.random.below(12) {
            0..=4 => self.world.set_policy(&task, |task| task.napped = value),
            5 => self.world.set_policy(&task, |task| task.external_background = value),
            6 => self.world.set_policy(&task, |task| task.role = if value { 8 } else { 1 }),
            7 => self.world.mark_donor(&task),
            _ => {
                let element = self.world.element(&task);
                let receives = self.world.importance.element(element).is_some_and(|element| element.is_receiver());
                if self.world.file_lock(&task, value).is_ok() && receives {
                    self.model.file_lock(element, value);
                }
            }
        }
        Some(())
    }

    fn interrupt(&mut self) -> Option<()> {
        let blocked = self.world.messages.iter().filter(|(_, message)| message.blocked).map(|(&id, _)| id);
        let blocked: Vec<u32> = blocked.collect();
        let message = self.random.pick(&blocked)?;
        self.world.interrupt(message);
        Some(())
    }

    fn advance(&mut self) {
        let (ms, late) = (self.random.below(900), self.random.chance(20));
        self.world.advance(ms, late);
        if self.random.chance(50) {
            self.world.fire_due_timer();
        }
    }

    fn check(&mut self) {
        self.world.check();
        self.world.take_events();
        self.world.died.clear();
        if self.slices {
            self.model.forget(&self.world);
            if self.world.end_step() && !self.random.chance(5) {
                self.overlapping += 1;
                return self.go_on();
            }
            self.finish_slices();
            self.model.take_over_donors(&self.world);
        }
        self.model.check(&self.world);
    }

    /// Goes on with a slice, or leaves it for later.
    fn go_on(&mut self) {
        if self.random.chance(20) {
            self.world.go_on();
            self.world.check();
            self.world.end_step();
        }
    }

    /// Goes on with what is left of all changes.
    fn finish_slices(&mut self) {
        while self.world.end_step() {
            self.world.go_on();
            self.world.check();
        }
    }

    /// Ends all tasks, lets the timer fire, and asserts that nothing is left.
    fn finish(mut self) {
        while let Some(task) = self.task() {
            self.world.exit(&task);
            self.check();
        }
        self.finish_slices();
        // A right that a request sent to a port without a task is in a message of a port that is gone.
        assert!(self.world.kernel.live_ports().is_empty() && self.world.messages.is_empty());
        self.world.advance(5000, false);
        self.check();
        assert_eq!(self.world.importance.delayed_drop_deadline(), None);
        assert!(self.world.importance.is_empty(), "no task, inherit or message is left");
        assert!(self.world.vouchers.registry.is_empty() && self.world.vouchers.user_data.is_empty());
    }
}

/// Returns the states before and after a failed send without what it may change: the transitions, and what follows for
/// an application that had or lost a boost for a moment through others. It waits for the delayed drop, boosted until then
/// (importance 6.6).
fn without_moment(mut before: Value, mut after: Value) -> (Value, Value) {
    for (name, task) in after["tasks"].as_object().expect("it is an object") {
        let element = task["elem"].as_str().expect("it is a name");
        if after["elems"][element]["delayed"] == true && before["elems"][element]["delayed"] == false {
            before["tasks"][name]["boosted"] = Value::from(1);
            before["tasks"][name]["live_policy"] = task["live_policy"].clone();
        }
    }
    for state in [&mut before, &mut after] {
        state["timer"] = Value::Null;
        for (_, element) in state["elems"].as_object_mut().expect("it is an object") {
            let delayed = u64::from(element["delayed"] == true);
            element["refs"] = Value::from(element["refs"].as_u64().expect("it is a number") - delayed);
            (element["tr"], element["delayed"]) = (Value::Null, Value::Null);
        }
    }
    (before, after)
}

/// What there was in a game.
struct Played {
    /// The lengths of the inherits' chains.
    lengths: BTreeMap<InheritId, u32>,
    overlapping: usize,
}

/// Plays one seed.
fn play(seed: u64, steps: u64, slices: bool, place: &Cell<u64>) -> Played {
    let (mut random, mut world) = (Random(seed), World::new());
    if slices {
        world.importance.allow(1 + random.below(VISITS_MAX));
        world.changes_heard = 1 + random.below(3) as usize;
    }
    let mut player = Player { random, world, model: Model::default(), names: 0, slices, overlapping: 0 };
    let mut lengths = BTreeMap::new();
    for step in 0..steps {
        place.set(step);
        // An operation for which there is no object is none.
        let _ = player.step();
        player.check();
        lengths.extend(player.world.importance.inherits().map(|(id, inherit)| (id, inherit.depth().length())));
    }
    let overlapping = player.overlapping;
    player.finish();
    Played { lengths, overlapping }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

// covers importance E151 E152 E154
#[test]
fn random_operations_keep_all_invariants_and_the_counts_of_the_model() {
    let seeds = number("TALLY_SEED").map_or(SEEDS, |seed| seed..seed + 1);
    let steps = number("TALLY_STEPS").unwrap_or(STEPS);
    let (mut inherits, mut forwarded, mut long, mut overlapping) = (0, 0, 0, 0);
    for (seed, slices) in seeds.flat_map(|seed| [(seed, false), (seed, true)]) {
        let place = Cell::new(0);
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(seed, steps, slices, &place)));
        let Played { lengths, overlapping: operations } = played.unwrap_or_else(|panic| {
            let how = if slices { "with slices" } else { "without slices" };
            eprintln!("TALLY_SEED={seed} fails in step {} {how}", place.get());
            std::panic::resume_unwind(panic);
        });
        overlapping += operations;
        inherits += lengths.len();
        forwarded += lengths.values().filter(|&&length| length > 1).count();
        long += lengths.values().filter(|&&length| length > 2).count();
    }
    if number("TALLY_SEED").is_none() && number("TALLY_STEPS").is_none() {
        let enough = inherits > 800 && forwarded > 80 && long > 10 && overlapping > 1000;
        assert!(
            enough,
            "{inherits} inherits, {forwarded} of forwarded importance, {long} in long chains, {overlapping} operations \
             beside slices"
        );
    }
}
