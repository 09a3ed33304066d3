//! Who owns which reference: each voucher routine and trap, when it succeeds and when it fails, as often as the
//! specification asks for (vouchers 8), and a voucher that is made again while it is being given up.

use super::*;
use abi::code::*;
use abi::mig::{mach_voucher, mach_voucher_attr_control as control, task, thread_act};
use abi::port::Disposition as D;
use abi::port::*;
use kernel::kernel::Event;

/// How often each call is made.
const VERY_OFTEN: u32 = 100_000;

/// A task with two vouchers, and its names for the objects whose routines take or give vouchers.
struct Owner {
    w: World,
    a: Actor,
    v: PortName,
    u: PortName,
    thread: PortName,
    host: PortName,
    port: PortName,
}

impl Owner {
    fn new() -> Owner {
        let mut w = World::new();
        let a = w.task();
        let v = w.make_voucher(a, &[st(USER_DATA, b"v"), current_task()]).unwrap();
        let u = w.make_voucher(a, &[st(TEST, b"u")]).unwrap();
        let (thread, host, port) = (w.thread_self(a), w.host(a), w.port_with_send(a));
        Owner { w, a, v, u, thread, host, port }
    }

    /// Makes a call very often. After the first time nothing changes any more.
    #[track_caller]
    fn repeat(&mut self, what: &str, mut call: impl FnMut(&mut World)) {
        let a = self.a;
        call(&mut self.w);
        let names = [self.v, self.u, self.thread, self.host, self.port, a.self_port];
        let state = |w: &mut World| {
            let vouchers = [0, 1].map(|n| w.voucher_refs(w.voucher_of(a, names[n]).expect("it is alive")));
            (names.map(|name| w.refs(a, name)), vouchers, w.values(), w.counts(), w.used(a.task))
        };
        let before = state(&mut self.w);
        self.w.checked = false;
        (0..VERY_OFTEN).for_each(|_| call(&mut self.w));
        self.w.checked = true;
        self.w.settle();
        assert_eq!(state(&mut self.w), before, "{what}");
    }

    /// Sends a request very often; the reply has this code each time.
    #[track_caller]
    fn ask(&mut self, request: &Msg, code: Result<(), KernReturn>) {
        let a = self.a;
        let what = format!("{request:?}");
        self.repeat(&what, |w| assert_eq!(w.rpc(a, request.clone()).map(drop), code, "{what}"));
    }
}

fn with_ports(to: PortName, id: i32, names: &[PortName]) -> Msg {
    names.iter().fold(Msg::copy_send(to).id(id), |message, &name| message.port(name, D::COPY_SEND))
}

fn plain(to: PortName, id: i32, words: &[u32]) -> Msg {
    Msg::copy_send(to).id(id).body(&NDR).words(words)
}

#[test]
fn routines_of_tasks_and_threads_keep_all_references() {
    let mut owner = Owner::new();
    let Owner { a, v, u, thread, host, port, .. } = owner;
    let task_port = a.self_port;
    let not_supported = Err(KERN_NOT_SUPPORTED);
    let rows = [
        (task_port, task::SWAP_MACH_VOUCHER, &[v, u][..], not_supported),
        (host, task::SWAP_MACH_VOUCHER, &[v, u], not_supported),
        (task_port, task::SWAP_MACH_VOUCHER, &[v], Err(MIG_BAD_ARGUMENTS)),
        (task_port, task::SET_MACH_VOUCHER, &[v], Ok(())),
        (host, task::SET_MACH_VOUCHER, &[v], Err(KERN_INVALID_TASK)),
        (host, thread_act::SWAP_MACH_VOUCHER, &[v, u], not_supported),
        (thread, thread_act::SET_MACH_VOUCHER, &[v], Ok(())),
        (thread, thread_act::SET_MACH_VOUCHER, &[port], Ok(())),
        (host, thread_act::SET_MACH_VOUCHER, &[v], Err(KERN_INVALID_ARGUMENT)),
        (thread, thread_act::SET_MACH_VOUCHER, &[v, u], Err(MIG_BAD_ARGUMENTS)),
    ];
    for (to, id, names, code) in rows {
        owner.ask(&with_ports(to, id, names), code);
    }
    owner.ask(&plain(task_port, task::GET_MACH_VOUCHER, &[0]), Ok(()));
    owner.ask(&plain(host, task::GET_MACH_VOUCHER, &[0]), Err(KERN_INVALID_TASK));
    owner.ask(&plain(host, thread_act::GET_MACH_VOUCHER, &[0]), Err(KERN_INVALID_ARGUMENT));
    owner.w.set_voucher(a, thread, v).unwrap();
    owner.repeat("thread_get_mach_voucher", |w| {
        assert_eq!(w.get_voucher(a, thread), Ok(v));
        w.deallocate(a, v).unwrap();
    });
    owner.repeat("changing between two vouchers", |w| {
        w.set_voucher(a, thread, u).unwrap();
        w.set_voucher(a, thread, v).unwrap();
    });
}

#[test]
fn routines_of_vouchers_and_hosts_keep_all_references() {
    let mut owner = Owner::new();
    let Owner { a, v, u, host, port, .. } = owner;
    let create = |recipes: Vec<Vec<u8>>| {
        let recipes = recipes.concat();
        plain(host, 222, &[recipes.len() as u32]).body(&recipes)
    };
    let rows = [
        (plain(v, mach_voucher::EXTRACT_ATTR_CONTENT, &[USER_DATA, 100]), Ok(())),
        (plain(v, mach_voucher::EXTRACT_ATTR_CONTENT, &[BANK, 499]), Err(KERN_NO_SPACE)),
        (plain(v, mach_voucher::EXTRACT_ATTR_RECIPE, &[USER_DATA, 17]), Ok(())),
        (plain(v, mach_voucher::EXTRACT_ATTR_RECIPE, &[USER_DATA, 15]), Err(KERN_NO_SPACE)),
        (plain(u, mach_voucher::EXTRACT_ALL_ATTR_RECIPES, &[17]), Ok(())),
        (plain(u, mach_voucher::EXTRACT_ALL_ATTR_RECIPES, &[15]), Err(KERN_NO_SPACE)),
        (plain(host, mach_voucher::EXTRACT_ALL_ATTR_RECIPES, &[16]), Err(KERN_INVALID_ARGUMENT)),
        (plain(v, mach_voucher::ATTR_COMMAND, &[USER_DATA, 1, 0, 4]), Err(KERN_FAILURE)),
        (plain(v, mach_voucher::ATTR_COMMAND, &[5, 1, 0, 4]), Err(KERN_INVALID_ARGUMENT)),
        (plain(v, mach_voucher::ATTR_COMMAND, &[BANK]), Err(MIG_BAD_ARGUMENTS)),
        (plain(a.self_port, mach_voucher::DEBUG_INFO, &[v.0, 10]), Err(KERN_NOT_SUPPORTED)),
        (with_ports(host, control::GET_VALUES, &[v]).body(&NDR).words(&[1]), Err(KERN_INVALID_CAPABILITY)),
        (plain(host, control::CREATE_MACH_VOUCHER, &[0]), Err(KERN_INVALID_CAPABILITY)),
        (create(vec![cp(ALL, v), it(BANK, 999, v, b"")]), Err(KERN_INVALID_ARGUMENT)),
        (create(vec![cp(ALL, v), cp(ALL, port)]), Err(KERN_INVALID_CAPABILITY)),
    ];
    for (request, code) in rows {
        owner.ask(&request, code);
    }
    owner.repeat("host_create_mach_voucher", |w| {
        assert_eq!(w.rpc(a, create(vec![cp(ALL, v)])).unwrap().descriptor(0).name, v);
        w.deallocate(a, v).unwrap();
    });
}

#[test]
fn traps_keep_all_references() {
    let mut owner = Owner::new();
    let Owner { a, v, host, port, .. } = owner;
    let short = [cp(ALL, v).as_slice(), &[0; 4]].concat();
    let rows = [
        (host, cp(ALL, v), Ok(v)),
        (host, Vec::new(), Ok(MACH_PORT_NULL)),
        (host, st(TEST, b"short-lived"), Ok(UNKNOWN)),
        (host, short, Err(KERN_INVALID_ARGUMENT)),
        (host, [cp(ALL, v), it(USER_DATA, 999, v, b"")].concat(), Err(KERN_INVALID_ARGUMENT)),
        (host, [it(BANK, MACH_VOUCHER_ATTR_REDEEM, v, b""), cp(BANK, port)].concat(), Err(KERN_INVALID_CAPABILITY)),
        (v, cp(ALL, v), Err(MACH_SEND_INVALID_DEST)),
    ];
    for (to, recipes, result) in rows {
        owner.repeat("host_create_mach_voucher", |w| {
            let made = w.create_by_trap(a, to, &recipes);
            assert!(made == result || made.is_ok() && result == Ok(UNKNOWN), "{made:?} {result:?}");
            made.into_iter().filter(|name| name.is_valid()).for_each(|name| w.deallocate(a, name).unwrap());
        });
    }
    for (name, key, size, code) in [
        (v, USER_DATA, 17, None),
        (v, USER_DATA, 15, Some(KERN_NO_SPACE)),
        (v, TEST, 0, None),
        (v, USER_DATA, 5121, Some(MIG_ARRAY_TOO_LARGE)),
        (port, USER_DATA, 17, Some(MACH_SEND_INVALID_DEST)),
    ] {
        owner.repeat("mach_voucher_extract_attr_recipe", |w| assert_eq!(w.extract(a, name, key, size).err(), code));
    }
    let result = owner.w.result(a);
    for (count, to, code) in [(16, result, 0), (17, result, 4), (0, result, 4), (1, 8, 14)] {
        owner.repeat("mach_generate_activity_id", |w| {
            let args = [a.self_port.0.into(), count, to];
            assert_eq!(w.trap(a, mach::MACH_GENERATE_ACTIVITY_ID, &args).code(), KernReturn(code));
        });
    }
}

/// Stands for a name that is not known beforehand.
const UNKNOWN: PortName = PortName(u32::MAX);

/// A task dies with several slices of messages. Each of them has a right to a voucher that has no other holder, so the
/// voucher is still alive before its message is destroyed, and has to be made afresh afterwards.
#[test]
fn a_voucher_made_again_at_any_point_of_a_destruction_has_the_rights_that_are_left() {
    /// As many messages as make several slices.
    const MESSAGES: u32 = 200;
    /// Messages with the same voucher.
    const EVERY: u32 = 50;
    let recipe = |n: u32| st(USER_DATA, &n.to_le_bytes());
    let mut survivals = Vec::new();
    for slices in 0.. {
        let mut w = World::new();
        let (a, b) = (w.task(), w.task());
        let (host, port) = (w.host(b), w.port_with_send(a));
        w.set_qlimit(a, port, MACH_PORT_QLIMIT_MAX).unwrap();
        for n in 0..MESSAGES {
            let voucher = w.make_voucher(a, &[recipe(n / EVERY)]).unwrap();
            w.send(a, &Msg::copy_send(port).voucher(voucher, D::MOVE_SEND)).unwrap();
        }
        assert_eq!(w.values().0, (MESSAGES / EVERY) as usize);
        w.hold_background();
        w.run(a.thread);
        w.kernel.sched[a.thread].frame_mut().rax = abi::trap::unix::EXIT.into();
        let _ = w.event(Event::Trap);
        (0..slices).for_each(|_| w.background_turn());
        let done = !w.kernel.step.has_background_work();
        survivals.push(w.values().0);
        for n in 0..MESSAGES / EVERY {
            w.put(b, BUFFER, &recipe(n));
            let args = [host.0.into(), w.buffer(b), recipe(n).len() as u64, w.result(b)];
            w.start_trap(b, mach::HOST_CREATE_MACH_VOUCHER, &args);
            let name = PortName(u32::from_le_bytes(w.get(b, crate::world::RESULT, 4).try_into().unwrap()));
            assert_eq!(w.refs(b, name), 1, "{slices}");
            assert_eq!(w.extract(b, name, USER_DATA, 5120), Ok(recipe(n)), "{slices}");
        }
        w.settle();
        assert_eq!(w.values().0, (MESSAGES / EVERY) as usize, "{slices}");
        w.end_task(b);
        assert_eq!((w.values().0, w.values().1), (0, 0), "{slices}");
        if done {
            break;
        }
    }
    assert!(survivals.len() > 2 && survivals.is_sorted_by(|a, b| a >= b), "{survivals:?}");
    assert_eq!(survivals.last(), Some(&0));
}
