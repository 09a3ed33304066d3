//! All orders in which two threads can take the steps of creating and dropping one voucher (vouchers 1.7, appendix C).

use std::collections::{HashMap, HashSet};
use voucher::*;

const KEY: u32 = 5;
const HANDLE: u64 = 0x40;

/// The state that the threads share.
struct World {
    registry: Registry,
    /// The manager's counts of made references, by handle.
    made: HashMap<u64, u64>,
    dead: HashSet<VoucherId>,
    handed_out: u64,
    given_back: u64,
    asking: u32,
    /// The outcomes of offers: true if the manager accepted, and true if it was asked again.
    outcomes: HashSet<(bool, bool)>,
}

/// The next step of a thread.
enum Next {
    Ask,
    GetValue(Creation),
    Store(Creation),
    Drop(VoucherId),
    Offer(Release),
    Decide(Release, ReleaseRequest),
    Answer(Release, u64, bool),
}

impl World {
    fn new() -> Self {
        let mut registry = Registry::new(1);
        registry.register(KEY, Registration::default()).unwrap();
        let (made, dead, outcomes) = (HashMap::new(), HashSet::new(), HashSet::new());
        World { registry, made, dead, handed_out: 0, given_back: 0, asking: 0, outcomes }
    }

    /// Takes the next step of a thread and returns the one after it, or `None` after the last step of a round.
    fn step(&mut self, next: Next) -> Option<Next> {
        let registry = &mut self.registry;
        match next {
            Next::Ask => {
                let mut creation = Creation::new();
                let step = creation.execute(registry, &Recipe::new(KEY, 1000, &[]));
                assert!(matches!(step, CreationStep::GetValue(_)));
                Some(Next::GetValue(creation))
            }
            Next::GetValue(creation) => {
                *self.made.entry(HANDLE).or_default() += 1;
                self.handed_out += 1;
                Some(Next::Store(creation))
            }
            Next::Store(mut creation) => {
                assert_eq!(
                    creation.answer_value(registry, Ok(ManagerValue::counted(HANDLE))),
                    CreationStep::NextRecipe
                );
                let CreationStep::Done(Ok(Some(voucher))) = creation.finish(registry) else {
                    panic!("the voucher is not complete")
                };
                assert!(!self.dead.contains(&voucher), "a dead voucher is never revived");
                Some(Next::Drop(voucher))
            }
            Next::Drop(voucher) => {
                let dead = registry.release(voucher)?;
                assert!(registry.get(voucher).is_none() && self.dead.insert(voucher));
                Some(Next::Offer(dead.values))
            }
            Next::Offer(mut values) => {
                let request = values.next(registry)?;
                self.asking += 1;
                assert_eq!(self.asking, 1, "I6: one offer at a time");
                Some(Next::Decide(values, request))
            }
            Next::Decide(values, ReleaseRequest { handle, sync, .. }) => {
                let accepted = self.made.get(&handle) == Some(&sync);
                if accepted {
                    self.made.remove(&handle);
                }
                Some(Next::Answer(values, sync, accepted))
            }
            Next::Answer(mut values, sync, accepted) => {
                self.asking -= 1;
                self.given_back += if accepted { sync } else { 0 };
                values.answer(registry, accepted);
                let request = values.next(registry);
                self.outcomes.insert((accepted, request.is_some()));
                let request = request?;
                self.asking += 1;
                Some(Next::Decide(values, request))
            }
        }
    }

    /// Asserts I5: the manager has handed out at least the made references that the registry knows of, apart from those of
    /// an earlier lifetime that it has already accepted.
    fn check_counts(&self, answers: impl Iterator<Item = u64>) {
        let accepted: u64 = answers.sum();
        let made = self.made.get(&HANDLE).copied().unwrap_or(0);
        for (_, value) in self.registry.control(Key::new(KEY).unwrap()).unwrap().values() {
            assert!(made + accepted >= value.made(), "I5: {made} and {accepted} for {}", value.made());
        }
    }

    /// Asserts that nothing is left.
    fn end(&self) {
        self.registry.check(true);
        assert!(self.registry.is_empty() && self.made.is_empty());
        assert_eq!((self.handed_out, self.asking), (self.given_back, 0));
        let control = self.registry.control(Key::new(KEY).unwrap()).unwrap();
        assert_eq!((control.values_in_use(), control.refs()), (0, 1));
    }
}

/// One order of steps.
struct Order {
    /// For each step the thread that ran, and the number of threads that could run.
    taken: Vec<(usize, usize)>,
    outcomes: HashSet<(bool, bool)>,
}

/// Runs two threads with these numbers of rounds in the order of `choices`, and after that always the first that can run.
fn run(rounds: [usize; 2], choices: &[usize]) -> Order {
    let mut world = World::new();
    let mut left = rounds;
    let mut threads = [Some(Next::Ask), Some(Next::Ask)];
    let mut taken = Vec::new();
    loop {
        let able: Vec<usize> = (0..threads.len()).filter(|&number| threads[number].is_some()).collect();
        if able.is_empty() {
            world.end();
            return Order { taken, outcomes: world.outcomes };
        }
        let choice = choices.get(taken.len()).copied().unwrap_or(0);
        taken.push((choice, able.len()));
        let number = able[choice];
        threads[number] = threads[number].take().and_then(|next| world.step(next));
        if threads[number].is_none() {
            left[number] -= 1;
            threads[number] = (left[number] > 0).then_some(Next::Ask);
        }
        world.registry.check(false);
        world.check_counts(threads.iter().map(|next| match next {
            Some(Next::Answer(_, sync, true)) => *sync,
            _ => 0,
        }));
    }
}

/// Runs the threads in all possible orders, and returns the number of orders and the outcomes of offers.
fn explore(rounds: [usize; 2]) -> (usize, HashSet<(bool, bool)>) {
    let (mut choices, mut outcomes) = (Vec::new(), HashSet::new());
    for orders in 1.. {
        let mut order = run(rounds, &choices);
        outcomes.extend(order.outcomes);
        while order.taken.pop_if(|(choice, able)| *choice + 1 == *able).is_some() {}
        let Some((choice, _)) = order.taken.last_mut() else { return (orders, outcomes) };
        *choice += 1;
        choices = order.taken.into_iter().map(|(choice, _)| choice).collect();
    }
    unreachable!("the orders are finite")
}

#[test]
fn v5_every_order_of_steps_keeps_values_and_revives_no_dying_voucher() {
    let (orders, outcomes) = explore([1, 1]);
    assert!(orders > 500 && outcomes.contains(&(true, false)), "{orders}: {outcomes:?}");
    let (orders, outcomes) = explore([2, 1]);
    assert!(orders > 20_000, "{orders}");
    assert_eq!(outcomes, [(true, false), (true, true), (false, false), (false, true)].into());
}
