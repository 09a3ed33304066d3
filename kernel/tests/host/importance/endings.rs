//! Tasks that end while they have boosts and give some (importance 6.8).

use super::*;
use abi::trap::unix;

/// A number of names whose destruction takes several slices.
const SEVERAL_SLICES: usize = 600;

/// From the moment of its end a task's policy stays what it was, so what its messages gave stays too, until its names
/// are gone. An application in App Nap gives by its policy, as long as it is boosted.
#[test]
fn a_task_that_ends_gives_importance_until_its_names_are_gone() {
    let mut w = World::new();
    let (s, x, d) = (w.standard(), w.app(), w.adaptive());
    let (port, to_x) = w.donation_path(s, x);
    let (port_d, to_d) = w.donation_path(x, d);
    w.set_nap(x, true);
    w.ping(s, to_x);
    w.ping(x, to_d);
    assert_eq!((w.on_port(d, port_d), w.boosts(d)), (1, WAITED_FOR));
    w.checked = false;
    for _ in 0..SEVERAL_SLICES {
        w.allocate(x, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    }
    w.checked = true;
    let port = w.port_of(x, port);
    w.hold_background();
    w.run(x.thread);
    w.kernel.sched[x.thread].frame_mut().rax = unix::EXIT.into();
    let _ = w.event(Event::Trap);
    let is_dead = w.kernel.ipc.live_port(port).is_none();
    assert!(is_dead && w.kernel.tasks.contains(x.task), "the first slice has ended the port and left names");
    assert_eq!(w.boosts(d), WAITED_FOR);
    w.settle();
    assert!(!w.kernel.tasks.contains(x.task));
    assert_eq!((w.on_port(d, port_d), w.boosts(d)), (0, IDLE));
}
