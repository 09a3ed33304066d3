//! Many threads, many queues (dispatch AE-140).

use crate::world::*;
use dispatch::qos::{Base, ItemPriority, Priority, Qos, QueuePriority};
use dispatch::queue::{Queue, QueueFlags};
use dispatch::thread;
use dispatch::voucher::Voucher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const THREADS: u64 = 64;
const QUEUES: usize = 16;
/// The steps of each thread.
const STEPS: u64 = 150;
const SUBMITTERS: [Priority; 6] = [NONE, BG, UT, DEF, IN, UI];

/// Numbers that depend on the seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // The generator "xorshift64*".
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// A queue, and what the rules of bases and adoption need to know of it.
#[derive(Clone)]
struct Node {
    queue: Queue,
    /// The words from the root to the queue itself.
    words: Vec<QueuePriority>,
}

impl Node {
    /// Returns the class at which an item runs here that was captured at a priority (dispatch 1.5 to 1.8).
    fn expected(&self, captured: Priority, enforced: bool) -> Priority {
        let base = self.words.iter().fold(Base::NONE, |base, word| base.enter(word));
        let (item, _): (ItemPriority, Qos) = self.queue.word().store(captured, enforced);
        base.adopt(item, false)
    }
}

/// Returns queues whose targets are roots and each other.
fn random_tree(random: &mut Random) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 0..QUEUES {
        let mut builder = Queue::builder(&format!("queue {number}"));
        if random.below(3) == 0 {
            builder = builder.concurrent();
        }
        match random.below(4) {
            0 => builder = builder.class(random.pick(&Qos::CLASSES)),
            1 => builder = builder.floor(random.pick(&Qos::CLASSES)),
            _ => {}
        }
        let parent = (!nodes.is_empty() && random.below(2) == 0).then(|| random.pick(&nodes));
        let mut words = match &parent {
            Some(parent) => {
                builder = builder.target(&parent.queue);
                parent.words.clone()
            }
            None => Vec::new(),
        };
        let queue = builder.build();
        if parent.is_none() {
            let word = queue.word();
            // The root is the one of the queue's own class, or the default one.
            let class = if word.requested.has_class() && !word.floor { word.requested.class() } else { Qos::DEFAULT };
            words.push(QueuePriority::root(class));
        }
        words.push(queue.word());
        nodes.push(Node { queue, words });
    }
    nodes
}

struct Stress {
    nodes: Vec<Node>,
    vouchers: Vec<Option<Arc<Voucher>>>,
    ran: AtomicUsize,
    /// What was wrong with callouts.
    wrong: Mutex<Vec<String>>,
}

impl Stress {
    /// Returns an item that checks what it sees, and submits another one now and then.
    fn item(self: &Arc<Stress>, node: Node, enforced: bool, seed: u64) -> impl FnOnce() + Send + 'static {
        let stress = self.clone();
        let expected = node.expected(thread::propagated(), enforced);
        let voucher = dispatch::voucher::copy().as_ref().map(Arc::as_ptr).map(|pointer| pointer as usize);
        move || {
            let seen = thread::requested().without_flags();
            let has = dispatch::voucher::copy().as_ref().map(Arc::as_ptr).map(|pointer| pointer as usize);
            if (seen, has) != (expected, voucher) {
                let text = format!("{:?}: {seen:?} {has:?} instead of {expected:?} {voucher:?}", node.queue);
                stress.wrong.lock().expect("no panic").push(text);
            }
            stress.ran.fetch_add(1, Ordering::SeqCst);
            let mut random = Random(seed | 1);
            if random.below(4) == 0 {
                let node = random.pick(&stress.nodes);
                let item = stress.item(node.clone(), false, seed / 2);
                node.queue.run_async(item);
            }
        }
    }

    /// Makes random calls; returns how many items they submitted.
    fn run_thread(self: &Arc<Stress>, mut random: Random) {
        for _ in 0..STEPS {
            let node = random.pick(&self.nodes);
            let seed = random.below(1 << 20) as u64;
            match random.below(12) {
                0 => node.queue.run_async_enforced(self.item(node.clone(), true, seed)),
                1 => node.queue.barrier_async(self.item(node.clone(), false, seed)),
                2 => node.queue.sync(|| ()),
                3 => node.queue.barrier_sync(|| ()),
                4 => {
                    node.queue.suspend();
                    node.queue.resume();
                }
                5 => {
                    let class = random.pick(&Qos::CLASSES);
                    thread::set_qos_class_self(class, 0).expect("the class is valid");
                    dispatch::voucher::replace(random.pick(&self.vouchers));
                }
                6 => {
                    let global = Queue::global(Qos::DEFAULT, QueueFlags::empty());
                    let words = vec![global.word()];
                    global.run_async(self.item(Node { queue: global.clone(), words }, false, seed));
                }
                _ => node.queue.run_async(self.item(node.clone(), false, seed)),
            }
        }
    }
}

fn stress(seed: u64) {
    let world = World::new();
    world.mock.set_processors(4);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let vouchers = vec![None, Some(world.voucher()), Some(world.another_voucher()), Some(world.another_voucher())];
    let nodes = random_tree(&mut random);
    let stress = Arc::new(Stress { nodes, vouchers, ran: AtomicUsize::new(0), wrong: Mutex::new(Vec::new()) });
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let stress = stress.clone();
            let random = Random((seed << 8 | number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            world.spawn(SUBMITTERS[number as usize % SUBMITTERS.len()], None, move || stress.run_thread(random))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    world.quiesce();

    let wrong = stress.wrong.lock().expect("no panic");
    assert!(wrong.is_empty(), "seed {seed}: {}", wrong.join("\n"));
    assert!(stress.ran.load(Ordering::SeqCst) > 1000, "items have run");
    for Node { queue, .. } in &stress.nodes {
        assert!(queue.is_idle(), "seed {seed}: {queue:?} is idle");
        assert_eq!(queue.max_qos(), Qos::Unspecified, "seed {seed}: {queue:?} keeps no class");
    }
    let workers = world.process.debug_counts().workers;
    assert!((1..=8).contains(&workers));
    eventually("all idle workers have given up what they had", || {
        let waiting = world.mock.all_threads().into_iter().filter(|record| record.waits);
        waiting.filter(|record| !record.has_voucher() && record.dispatch_override == Qos::Unspecified).count()
            == workers
    });
}

// covers dispatch AE-140
#[test]
fn many_threads_and_queues_keep_classes_vouchers_and_overrides_straight() {
    let seeds = std::env::var("TALLY_SEED").ok().and_then(|seed| seed.parse().ok()).map_or(1..4, |seed| seed..seed + 1);
    seeds.for_each(stress);
}
