//! What several threads do to the table of voucher objects at once (dispatch V-8).

use super::support::*;
use abi::PortName;
use dispatch::activity::{ActivityMode, Parent, create_voucher};
use dispatch::process::Process;
use dispatch::voucher;
use std::sync::{Arc, Barrier};

const ROUNDS: usize = 2000;

/// Runs a function on two threads of a task at once, several times.
fn twice_at_once(process: &'static Process, f: impl Fn(usize) + Sync) {
    let barrier = Barrier::new(2);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (f, barrier) = (&f, &barrier);
            scope.spawn(move || {
                process.enter();
                for _ in 0..ROUNDS {
                    barrier.wait();
                    f(thread);
                }
            });
        }
    });
}

// covers dispatch AE-141
#[test]
fn a_voucher_dropped_while_an_equal_one_is_received_leaves_good_names() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.run(|| app.send(port, None)).expect("it is sent");
    daemon.run(|| drop(daemon.receive_voucher()));
    let before = daemon.counts();
    twice_at_once(daemon.process, |_| {
        let get = || {
            app.process.enter();
            app.send(port, None).expect("it is sent");
            daemon.process.enter();
            daemon.receive_voucher().expect("it has a voucher")
        };
        let first = get();
        assert!(daemon.mock.references_to(first.kernel_name()) > 0, "the name is good");
        // One that was being dropped meanwhile has not taken the entry of this one away.
        assert!(Arc::ptr_eq(&first, &get()), "equal vouchers are one object as long as it lives");
    });
    assert_eq!(daemon.counts(), before);
    assert!(!daemon.mock.is_boosted());
}

#[test]
fn an_object_that_is_being_dropped_leaves_the_entry_of_its_successor_alone() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.run(|| (0..3).for_each(|_| assert!(app.send(port, None).is_ok())));
    daemon.process.enter();
    let first = daemon.receive_voucher().expect("it has a voucher");
    // As if its last reference were gone, but its destructor had not begun.
    let dying = Arc::try_unwrap(first).expect("there is one reference");
    let second = daemon.receive_voucher().expect("it has a voucher");
    assert_eq!(second.kernel_name(), dying.kernel_name());
    drop(dying);
    let third = daemon.receive_voucher().expect("it has a voucher");
    assert!(Arc::ptr_eq(&second, &third));
    assert_eq!(daemon.mock.references_to(third.kernel_name()), 1);
}

#[test]
fn the_first_send_of_an_object_by_two_threads_makes_one_name() {
    let (app, daemon) = app_and_daemon();
    let port = app.port_of(&daemon);
    app.process.enter();
    app.send(port, None).expect("the default voucher is made");
    let before = app.counts();
    for _ in 0..ROUNDS / 10 {
        let activity = create_voucher(Parent::None, ActivityMode::empty(), b"");
        let names: Vec<PortName> = std::thread::scope(|scope| {
            let send = || {
                app.process.enter();
                app.send(port, Some(&activity)).unwrap_or_else(|code| panic!("{code:?}"))
            };
            let threads = [scope.spawn(send), scope.spawn(send)];
            threads.map(|thread| thread.join().expect("it has not panicked")).to_vec()
        });
        assert_eq!(names[0], names[1]);
        assert_eq!(app.mock.references_to(names[0]), 1, "the loser has given its reference up");
        daemon.run(|| {
            while let Some(mut message) = daemon.try_receive() {
                drop(voucher::from_message(&mut message));
            }
        });
        drop::<Arc<_>>(activity);
    }
    assert_eq!(app.counts(), before);
}
