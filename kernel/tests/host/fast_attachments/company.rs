//! Calls with vouchers and importance while other tasks matter too: as those that pay or donate, and as those that end.

use super::*;
use crate::program::spawn_args;
use abi::mig::mach_port::ALLOCATE_NAME;
use abi::task::TaskSpawnArgs;

const SCENARIOS: [Scenario; 9] = [
    ("a server that works on its client's bill, and a client on another one's", STRANGERS, |d| {
        let payer = d.w.task();
        let paid = d.w.send_account(payer, d.client);
        d.w.let_wait(payer);
        d.w.adopt(d.client, paid);
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.serve(TAKE);
        let given = d.lone_round(&request);
        d.w.adopt(d.server, given);
        d.serve(TAKE);
        for time in 1..6 {
            d.w.occupy(d.client);
            d.w.machine.advance(time);
            let received = d.call(&request);
            d.w.machine.advance(100 * time);
            d.answer(&received, TAKE);
        }
        // The time until the first adoption counts, too.
        let times = [payer, d.client, d.server].map(|actor| d.w.times_of(actor));
        assert_eq!(times, [(0, 15, 0), (15, 1500, 15), (1500, 0, 1500)]);
        d.call(&request);
    }),
    ("importance and an account of a task that ends", DAEMONS, |d| {
        let app = d.w.app();
        let (own, to_client) = d.w.donation_path(app, d.client);
        let voucher = d.w.make_voucher(app, &[current_task(), priority(USER_INITIATED)]).unwrap();
        d.w.send(app, &Msg::copy_send(to_client).voucher(voucher, D::COPY_SEND)).unwrap();
        d.w.let_wait(app);
        let given = d.w.take(d.client, own).voucher;
        let request = d.with(given);
        d.serve(TAKE);
        (0..3).for_each(|_| drop(d.round(&request, TAKE)));
        d.w.end_task(app);
        d.rest_of_rounds(&request);
    }),
    ("a donor that naps while another one boosts the server", DONATION, |d| {
        let (_other, _own) = d.boost_server();
        let request = d.request();
        d.serve(TAKE);
        for naps in [true, false, true] {
            d.w.set_nap(d.client, naps);
            (0..3).for_each(|_| drop(d.round(&request, TAKE)));
        }
        d.call(&request);
    }),
    ("a donor whose server loses its other boost", DONATION, |d| {
        let (other, own) = d.boost_server();
        let request = d.request();
        d.serve(NONE);
        (0..3).for_each(|_| drop(d.round(&request, NONE)));
        d.w.end_task(other);
        let received = d.call(&request);
        d.w.take_plain(d.server, own);
        d.answer(&received, NONE);
        d.rest_of_rounds(&request);
    }),
    ("personas of the system that are set later", STRANGERS, |d| {
        d.w.let_wait(d.client);
        d.client = d.w.task_with(TaskSpawnArgs { persona: 501, ..spawn_args() });
        d.to_server = d.w.give_send(d.server, d.port, d.client);
        d.reply = d.w.port(d.client);
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.serve(TAKE);
        let before = d.round(&request, TAKE).header.msgh_voucher_port;
        assert_eq!(d.round(&request, TAKE).header.msgh_voucher_port, before);
        let other = d.w.task_with(TaskSpawnArgs { system_persona: 101, system_proxy_persona: 102, ..spawn_args() });
        d.w.let_wait(other);
        let after = d.round(&request, TAKE).header.msgh_voucher_port;
        assert_ne!(after, before, "the server's persona replaces that of the voucher");
        assert_eq!(d.round(&request, TAKE).header.msgh_voucher_port, after);
        d.call(&request);
    }),
    ("a server whose place another one takes", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.serve(TAKE);
        (0..2).for_each(|_| drop(d.round(&request, TAKE)));
        d.w.end_task(d.server);
        d.w.release_dead_names();
        d.server = d.w.task();
        d.port = d.w.port(d.server);
        d.to_server = d.w.give_send(d.server, d.port, d.client);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
    }),
    ("messages that wait for each other, with different vouchers", STRANGERS, |d| {
        let [first, second] = [b"1", b"2"].map(|content| d.voucher(&[st(USER_DATA, content)]));
        for voucher in [first, second] {
            d.w.send(d.client, &Msg::copy_send(d.to_server).voucher(voucher, D::COPY_SEND)).unwrap();
        }
        let given = d.w.poll_with(d.server, d.port, TAKE, ROOM).unwrap().header.msgh_voucher_port;
        d.w.poll(d.server, d.port).unwrap();
        d.serve(TAKE);
        for (voucher, is_first) in [(second, false), (first, true)] {
            let received = d.round(&d.with(voucher), TAKE);
            assert_eq!(received.header.msgh_voucher_port == given, is_first);
        }
        d.call(&d.with(second));
    }),
    ("a port with a temporary owner", DONATION, |d| {
        d.w.set_attributes(d.server, d.port, MACH_PORT_TEMPOWNER, &[]).unwrap();
        let request = d.request();
        d.rounds(&request, TAKE);
        let received = d.w.received(d.server);
        d.answer(&received, NONE);
        d.rest_of_rounds(&request);
    }),
    ("a donation that is switched on between two calls", CLOSED, |d| {
        let voucher = d.voucher(&[current_task()]);
        let requests = [d.request(), d.with(voucher)];
        d.serve(TAKE);
        for closed in [true, false] {
            requests.iter().for_each(|request| drop(d.round(request, TAKE)));
            requests.iter().for_each(|request| drop(d.round(request, TAKE)));
            if closed {
                let received = d.call(&requests[0]);
                d.w.set_attributes(d.server, d.port, MACH_PORT_IMPORTANCE_RECEIVER, &[]).unwrap();
                d.answer(&received, TAKE);
            }
        }
        d.call(&requests[1]);
    }),
];

impl World {
    /// Lets a task wait, so that it does not run in place of others.
    fn let_wait(&mut self, actor: Actor) {
        let port = self.port(actor);
        assert_eq!(self.receive(actor, port, NONE), Ret::Blocked);
    }

    /// Returns the times of a task without a call of its own: what it has used, what others have worked for it, and
    /// what it has serviced. A thread that has just left the processor is charged first.
    fn times_of(&mut self, actor: Actor) -> (u64, u64, u64) {
        let _ = self.event(kernel::kernel::Event::Timer);
        let bank = self.kernel.tasks[actor.task].bank.unwrap();
        let balance = self.kernel.vouchers.balance(bank);
        (self.kernel.sched.used(actor.thread).time, balance.billed.cpu, balance.serviced.cpu)
    }
}

impl Duo {
    /// Makes another application that has sent the server a message, on another port. Returns it, and the port.
    fn boost_server(&mut self) -> (Actor, PortName) {
        let other = self.w.app();
        let (own, to_server) = self.w.donation_path(other, self.server);
        self.w.ping(other, to_server);
        self.w.let_wait(other);
        (other, own)
    }

    /// Makes some more calls, and one without an answer.
    fn rest_of_rounds(&mut self, request: &Msg) {
        (0..3).for_each(|_| drop(self.round(request, TAKE)));
        self.call(request);
    }
}

/// Errata 5.
#[test]
fn calls_among_others_give_the_results_of_the_slow_path() {
    compare(&SCENARIOS);
}

/// A boost for which there was no memory comes with the next message, and not what came instead.
#[test]
fn a_voucher_that_lost_its_boost_for_want_of_memory_is_not_remembered() {
    let mut lost = 0;
    for allocation in 0..40 {
        let [fast, slow] = [true, false].map(|shortcuts| {
            let mut duo = Duo::new(shortcuts, DONATION);
            let (_other, _own) = duo.boost_server();
            let voucher = duo.voucher(&[current_task(), st(USER_DATA, b"x")]);
            let request = duo.with(voucher);
            duo.serve(TAKE);
            store::failpoints::arm(Some(allocation));
            let (client, reply) = (duo.client, duo.reply);
            let ret = duo.both(client, &request, reply, NONE);
            store::failpoints::disarm();
            // A request that could not be sent at all changes nothing.
            if ret == Ret::Blocked {
                let received = duo.w.received(duo.server);
                let raised = received.header.msgh_bits & HeaderFlags::RAISEIMP.bits() != 0;
                lost += u32::from(!raised && received.header.msgh_voucher_port != MACH_PORT_NULL);
                duo.answer(&received, TAKE);
                (0..3).for_each(|_| drop(duo.round(&request, TAKE)));
            }
            duo.snapshot()
        });
        assert!(fast == slow, "allocation {allocation}\n{fast}\n\n{slow}");
    }
    assert!(lost > 0, "some voucher arrives without its boost");
}

/// The shorter way to drop a reference is tried with the last name that any task was given.
#[test]
fn a_reference_is_dropped_by_whoever_has_the_name() {
    for shortcuts in [true, false] {
        let mut duo = Duo::new(shortcuts, STRANGERS);
        let voucher = duo.voucher(&[current_task()]);
        let request = duo.with(voucher);
        duo.serve(TAKE);
        let given = duo.round(&request, TAKE).header.msgh_voucher_port;
        (0..2).for_each(|_| drop(duo.round(&request, TAKE)));
        // The name of another task of the same number, which denotes something else.
        let server = duo.server;
        let other = duo.w.task();
        duo.w.mig(other, other.self_port, ALLOCATE_NAME, &[MACH_PORT_RIGHT_RECEIVE, given.0]).unwrap();
        duo.w.insert_right(other, given, given, D::MAKE_SEND).unwrap();
        assert_eq!(duo.w.deallocate(other, given), Ok(()));
        assert_eq!(duo.w.port_type(other, given), Ok(PortType::RECEIVE));
        let received = duo.call(&request);
        assert_eq!(duo.w.get_refs(server, given, MACH_PORT_RIGHT_SEND), Ok(4));
        let references = |left: &mut Duo| left.w.get_refs(left.server, given, MACH_PORT_RIGHT_SEND);
        for left in (1..4).rev() {
            assert_eq!((duo.w.deallocate(server, given), references(&mut duo)), (Ok(()), Ok(left)));
        }
        assert_eq!(duo.w.deallocate(server, given), Ok(()));
        assert_eq!(references(&mut duo), Err(KERN_INVALID_NAME));
        duo.answer(&received, TAKE);
    }
}
