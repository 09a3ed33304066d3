//! A task's budget is taken out of its parent's, and goes back when the task ends (errata 4).

use crate::message::Msg;
use crate::program::spawn_args;
use crate::world::{Actor, World};
use abi::code::*;
use abi::port::Disposition as D;
use abi::task::*;
use kernel::ids::{BudgetId, TaskId};
use kernel::limits::{Limits, SHARE_LEAST};

const KIB: u64 = 1024;

impl World {
    fn budget(&self, task: TaskId) -> BudgetId {
        self.space_of(task).budget()
    }

    /// Returns the bytes of a task's budget that are not in use.
    fn left(&self, task: TaskId) -> usize {
        let (used, limit) = self.kernel.ipc.use_of(self.budget(task)).unwrap();
        limit - used
    }

    fn limit(&self, task: TaskId) -> usize {
        self.kernel.ipc.use_of(self.budget(task)).unwrap().1
    }

    /// Spawns a child of `parent` with a share of its budget.
    fn child(&mut self, parent: Actor, kernel_bytes: u64) -> Result<Actor, abi::KernReturn> {
        // With much of the kernel memory go many pages, with a part of it the same part of the pages.
        let pages = match kernel_bytes {
            SPAWN_SHARE_OF.. => kernel_bytes,
            bytes if bytes >= 1000 * KIB => 12_000,
            _ => 0,
        };
        let (actor, task_port) = self.spawn(parent, TaskSpawnArgs { kernel_bytes, pages, ..spawn_args() })?;
        Ok(Actor { task_port, ..actor })
    }

    /// Terminates a child as its parent does.
    fn end_child(&mut self, parent: Actor, child: Actor) {
        self.send(parent, &Msg::copy_send(child.task_port).id(abi::mig::task::TERMINATE)).unwrap();
        self.deallocate(parent, child.task_port).unwrap();
        self.settle();
    }
}

#[test]
fn a_share_is_taken_out_of_the_parents_budget_and_goes_back() {
    let mut w = World::new();
    let parent = w.task();
    // The table of names grows once for all.
    let first = w.child(parent, 100 * KIB).unwrap();
    w.end_child(parent, first);
    let before = w.left(parent.task);
    let child = w.child(parent, 100 * KIB).unwrap();
    assert_eq!(w.left(parent.task), before - w.limit(child.task));
    assert!(w.left(child.task) < 100 * KIB as usize, "its first objects are on its budget");
    let grandchild = w.child(child, 30 * KIB).unwrap();
    assert_eq!(w.left(parent.task), before - w.limit(child.task));
    w.end_child(child, grandchild);
    w.end_child(parent, child);
    assert_eq!(w.left(parent.task), before);
}

#[test]
fn a_share_that_the_parent_does_not_have_is_refused() {
    let mut w = World::new();
    let parent = w.task();
    let child = w.child(parent, 100 * KIB).unwrap();
    let (counts, left) = (w.counts(), w.left(child.task));
    for asked in [left as u64, SPAWN_SHARE_OF - 1] {
        assert_eq!(
            w.start_spawn(child, TaskSpawnArgs { kernel_bytes: asked, ..spawn_args() }),
            Err(KERN_RESOURCE_SHORTAGE)
        );
    }
    for nonsense in [SPAWN_SHARE_OF, SPAWN_SHARE_OF + SPAWN_SHARE_PARTS + 1, u64::MAX] {
        let asked = w.start_spawn(child, TaskSpawnArgs { kernel_bytes: nonsense, ..spawn_args() });
        assert_eq!(asked, Err(KERN_INVALID_ARGUMENT), "{nonsense:#x}");
    }
    assert_eq!((w.counts(), w.left(child.task)), (counts, left));
}

#[test]
fn a_share_in_parts_is_of_what_the_parent_has_left() {
    let mut w = World::new();
    let parent = w.task();
    for parts in [1, SPAWN_SHARE_PARTS / 2, SPAWN_SHARE_PARTS - 8] {
        let child = w.child(parent, 400 * KIB).unwrap();
        let before = w.left(child.task);
        let start = w.start_spawn(child, TaskSpawnArgs { kernel_bytes: SPAWN_SHARE_OF + parts, ..spawn_args() });
        start.unwrap();
        let given = before - w.left(child.task);
        let share = before * parts as usize / SPAWN_SHARE_PARTS as usize;
        assert!(given + 256 >= share && given < share + 16 * 1024, "{parts} parts of {before} are {given}");
        w.end_child(parent, child);
    }
}

/// The usual share is a quarter of what the parent has left, but no more than the limit and no less than a small
/// program needs.
#[test]
fn the_usual_share_leaves_the_parent_most_of_its_budget() {
    let mut w = World::new();
    let parent = w.task();
    assert_eq!(w.limit(parent.task), Limits::default().kernel_bytes_per_task, "of a parent that has plenty");
    let mut shares = Vec::new();
    let refused = loop {
        let left = w.left(parent.task);
        match w.start_spawn(parent, spawn_args()) {
            Ok(_) => shares.push((left, w.limit(w.newest_task()))),
            Err(code) => break code,
        }
    };
    assert_eq!(refused, KERN_RESOURCE_SHORTAGE);
    for &(left, share) in &shares {
        assert!(share <= left, "{share} of {left}");
        assert!(share >= (left / 4).min(SHARE_LEAST) && (share <= left / 4 + 8192 || share <= SHARE_LEAST + 8192));
    }
    assert!(shares.len() > 12, "{} children", shares.len());
    assert!(w.left(parent.task) < SHARE_LEAST, "then nothing is left for another");
}

/// What a dead task left behind is on its budget, and so on its parent's, until it is gone.
#[test]
fn what_a_dead_task_left_behind_is_its_parents() {
    let mut w = World::new();
    let (parent, stranger) = (w.task(), w.task());
    let (mailbox, to_stranger) = w.connect(parent, stranger);
    let child = w.child(parent, 100 * KIB).unwrap();
    w.end_child(parent, child);
    let before = w.left(parent.task);
    let child = w.child(parent, 100 * KIB).unwrap();
    let at_child = w.hand_over(parent, to_stranger, child);
    let message = Msg::copy_send(at_child).body(&[0; 2000]);
    w.send(child, &message).unwrap();
    w.end_child(parent, child);
    let left = w.left(parent.task);
    assert!((before - 5000..before - 4000).contains(&left), "{left} of {before}");
    w.poll(stranger, mailbox).unwrap();
    assert_eq!(w.left(parent.task), before);
}

/// A budget that outlives its task and the task's parent is a part of the next ancestor's that lives; the refund takes
/// the same whatever the number of the dead between them is.
#[test]
fn what_is_left_behind_passes_to_the_next_ancestor_that_lives() {
    let mut w = World::new();
    let (first, stranger) = (w.task(), w.task());
    let (mailbox, to_stranger) = w.connect(first, stranger);
    w.set_qlimit(stranger, mailbox, 20).unwrap();
    let unused = w.child(first, 2000 * KIB).unwrap();
    w.end_child(first, unused);
    let before = w.left(first.task);
    let mut chain = vec![w.child(first, 2000 * KIB).unwrap()];
    let mut at_last = w.hand_over(first, to_stranger, chain[0]);
    for depth in 0..10 {
        let parent = chain[depth];
        w.send(parent, &Msg::copy_send(at_last).body(&[0; 1000])).unwrap();
        let child = w.child(parent, SPAWN_SHARE_OF + 200).unwrap();
        at_last = w.hand_over(parent, at_last, child);
        chain.push(child);
    }
    let queued = w.status(stranger, mailbox).mps_msgcount;
    assert_eq!(queued, 10);
    // From the last to the first and from the first to the last.
    for at in [10, 3, 0, 1, 2, 9, 8, 4, 5, 6, 7] {
        w.exit(chain[at].task);
    }
    let names: Vec<_> = w.names(first).into_iter().filter(|&(name, _)| name == chain[0].task_port).collect();
    assert_eq!(names.len(), 1);
    w.deallocate(first, chain[0].task_port).unwrap();
    let left = w.left(first.task);
    assert!(left < before - queued as usize * 1000 && left > before - queued as usize * 2500, "{left} of {before}");
    (0..queued).for_each(|_| drop(w.poll(stranger, mailbox).unwrap()));
    assert_eq!(w.left(first.task), before);
}

/// A dead parent's children keep their budgets, as parts of its own parent's.
#[test]
fn the_children_of_a_dead_task_keep_their_budgets() {
    let mut w = World::new();
    let parent = w.task();
    let unused = w.child(parent, 1000 * KIB).unwrap();
    w.end_child(parent, unused);
    let before = w.left(parent.task);
    let child = w.child(parent, 1000 * KIB).unwrap();
    let grandchildren: Vec<_> = (0..5).map(|_| w.child(child, 50 * KIB).unwrap()).collect();
    let promised: usize = grandchildren.iter().map(|actor| w.limit(actor.task)).sum();
    w.end_child(parent, child);
    assert_eq!(w.left(parent.task), before - promised);
    for actor in grandchildren {
        w.port(actor);
        w.exit(actor.task);
    }
    assert_eq!(w.left(parent.task), before);
}

/// However many children a task has one after the other, the last one gets as much as the first.
#[test]
fn hundreds_of_children_in_a_row_get_the_same() {
    let mut w = World::new();
    w.checked = false;
    let parent = w.task();
    let mut limits = Vec::new();
    for _ in 0..300 {
        let child = w.child(parent, 0).unwrap();
        limits.push(w.limit(child.task));
        w.end_child(parent, child);
    }
    kernel::inspect::invariants::check_all(&w.kernel);
    assert!(limits[1..].iter().all(|&limit| limit == limits[1]), "{limits:?}");
}

/// A port that travels when its maker has died stays on the maker's budget: a message by a send-once right is on the
/// account of the maker's parent.
#[test]
fn a_message_to_a_dead_tasks_port_is_on_its_parents_account() {
    let mut w = World::new();
    let (parent, stranger) = (w.task(), w.task());
    let (mailbox, to_stranger) = w.connect(parent, stranger);
    let child = w.child(parent, 100 * KIB).unwrap();
    let at_child = w.hand_over(parent, to_stranger, child);
    let port = w.port(child);
    w.send(child, &Msg::copy_send(at_child).port(port, D::MAKE_SEND_ONCE)).unwrap();
    let once = w.poll(stranger, mailbox).unwrap().descriptor(0).name;
    w.send(child, &Msg::copy_send(at_child).port(port, D::MOVE_RECEIVE)).unwrap();
    w.end_child(parent, child);
    let before = [parent, stranger].map(|actor| w.left(actor.task));
    w.send(stranger, &Msg::to(once, D::MOVE_SEND_ONCE).body(&[0; 3000])).unwrap();
    let after = [parent, stranger].map(|actor| w.left(actor.task));
    assert_eq!(after[1], before[1]);
    assert!(after[0] < before[0] - 3000);
    // The stranger takes over the port, and its message is the parent's until it is received.
    let port = w.poll(stranger, mailbox).unwrap().descriptor(0).name;
    assert!(w.left(parent.task) < before[0]);
    w.poll(stranger, port).unwrap();
    assert!(w.left(parent.task) > before[0]);
}

/// Page frames are shared out in the same way.
#[test]
fn pages_are_taken_out_of_the_parents_and_go_back() {
    const PAGES: u64 = 200;
    let mut w = World::new();
    let parent = w.task();
    let frames = |w: &World, actor: Actor| w.kernel.tasks[actor.task].frames().used_and_limit();
    let before = frames(&w, parent);
    let args = TaskSpawnArgs { pages: PAGES, ..spawn_args() };
    let (child, task_port) = w.spawn(parent, args).unwrap();
    let (used, limit) = frames(&w, child);
    assert_eq!(frames(&w, parent), (before.0 + limit, before.1));
    assert!((PAGES..PAGES + 100).contains(&limit), "{limit} with what it starts with");
    // The child can have what it has left and no more.
    let allocate = |w: &mut World, pages: u64| {
        let [me, result, size] = [u64::from(child.self_port.0), w.result(child), pages * PAGE_SIZE];
        w.put(child, crate::world::RESULT, &0u64.to_le_bytes());
        w.call(child, abi::trap::mach::MACH_VM_ALLOCATE, &[me, result, size, u64::from(VM_FLAGS_ANYWHERE)])
    };
    assert_eq!(allocate(&mut w, limit - used + 1), Err(KERN_RESOURCE_SHORTAGE));
    assert_eq!(allocate(&mut w, limit - used), Ok(()));
    assert_eq!(allocate(&mut w, 1), Err(KERN_RESOURCE_SHORTAGE));
    assert_eq!(frames(&w, child), (limit, limit));
    w.end_child(parent, Actor { task_port, ..child });
    assert_eq!(frames(&w, parent), before);
}

#[test]
fn a_parent_without_pages_starts_no_child() {
    let mut w = World::new();
    let init = w.init;
    let (parent, _) = w.spawn(init, TaskSpawnArgs { pages: 150, ..spawn_args() }).unwrap();
    let (used, limit) = w.kernel.tasks[parent.task].frames().used_and_limit();
    let too_many = TaskSpawnArgs { pages: limit - used, ..spawn_args() };
    assert_eq!(w.start_spawn(parent, too_many), Err(KERN_RESOURCE_SHORTAGE));
    let started = (0..).find_map(|_| w.start_spawn(parent, TaskSpawnArgs { pages: 1, ..spawn_args() }).err());
    assert_eq!(started, Some(KERN_RESOURCE_SHORTAGE));
    let (used, limit) = w.kernel.tasks[parent.task].frames().used_and_limit();
    assert!(limit - used < 100, "{used} of {limit}: another one would not fit");
}

/// A dead parent's children keep their pages, as parts of its own parent's.
#[test]
fn the_children_of_a_dead_task_keep_their_pages() {
    let mut w = World::new();
    let parent = w.task();
    let frames = |w: &World, actor: Actor| w.kernel.tasks[actor.task].frames().used_and_limit();
    let before = frames(&w, parent);
    let child = w.child(parent, 1000 * KIB).unwrap();
    let grandchildren: Vec<_> = (0..3).map(|_| w.child(child, 50 * KIB).unwrap()).collect();
    let promised: u64 = grandchildren.iter().map(|actor| frames(&w, *actor).1).sum();
    w.end_child(parent, child);
    assert_eq!(frames(&w, parent), (before.0 + promised, before.1));
    grandchildren.iter().for_each(|actor| w.exit(actor.task));
    assert_eq!(frames(&w, parent), before);
}

/// A list of regions that grows is on the budget of its task.
#[test]
fn the_records_of_regions_are_charged() {
    let mut w = World::new();
    let parent = w.task();
    let before = w.left(parent.task);
    let child = w.child(parent, 100 * KIB).unwrap();
    let given = w.left(child.task);
    let me = u64::from(child.self_port.0);
    let allocate = |w: &mut World, number: u64| {
        let at = 0x5000_0000_0000u64 + number * 2 * PAGE_SIZE;
        w.put(child, crate::world::RESULT, &at.to_le_bytes());
        w.call(child, abi::trap::mach::MACH_VM_ALLOCATE, &[me, w.result(child), PAGE_SIZE, 0])
    };
    (0..500).for_each(|number| allocate(&mut w, number).unwrap());
    let taken = given - w.left(child.task);
    assert!((450 * 24..500 * 64).contains(&taken), "{taken} bytes");
    // Without budget the list does not grow, and gives memory back all the same.
    let budget = w.budget(child.task);
    w.kernel.ipc.charge(budget, w.left(child.task)).unwrap();
    w.checked = false;
    let refused = (500..600).find_map(|number| allocate(&mut w, number).err());
    assert_eq!(refused, Some(KERN_RESOURCE_SHORTAGE));
    let whole = [me, 0x5000_0000_0000, 2000 * PAGE_SIZE];
    assert_eq!(w.call(child, abi::trap::mach::MACH_VM_DEALLOCATE, &whole), Ok(()));
    let filled = w.kernel.ipc.use_of(budget).unwrap().0;
    assert!(filled > 0);
    w.end_child(parent, child);
    assert!(w.left(parent.task) <= before);
}

impl World {
    /// Gives a child of `from` a copy of a send right, by way of its bootstrap port.
    fn hand_over(&mut self, from: Actor, name: abi::PortName, to: Actor) -> abi::PortName {
        let id = abi::mig::mach_port::INSERT_RIGHT;
        let chosen = abi::PortName::new(60, 3);
        let request = Msg::copy_send(to.task_port).id(id).port(name, D::COPY_SEND);
        self.rpc(from, request.body(&abi::mig::NDR).words(&[chosen.0])).unwrap();
        chosen
    }
}
