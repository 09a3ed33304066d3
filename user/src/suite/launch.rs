//! Services that are started on demand: their ports wait with messages and boosts, and come back when a job dies
//! (dispatch 7.2, 7.7).

use super::instances::{ASKED_TO_END, GATE, GIVEN_AWAY, Gate, Instance, Order, SERVICES, job, wait_for_end};
use super::puppets::{Parcel, Puppet};
use super::tests;
use crate::message::{Message, port_with_send};
use crate::names::{self, Job, Registry};
use crate::port::{self, Port};
use crate::time::{MILLISECOND, now};
use crate::{check, task, time};
use abi::code::*;
use abi::message::MACH_NOTIFY_SEND_ONCE;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::Disposition as D;
use abi::port::PortType;
use abi::qos::{AppType, Qos, Role};
use abi::{KernReturn, PortName};

tests! { "launch":
    look_up_starts_the_job_and_messages_wait_for_it,
    first_message_starts_the_job_without_a_look_up,
    many_look_ups_start_one_instance,
    service_comes_back_with_its_messages_when_its_job_dies,
    job_that_dies_at_any_step_has_its_next_instance,
    boosts_wait_for_the_job_and_move_with_the_service,
    next_instance_is_boosted_before_it_checks_in,
    only_the_task_that_was_started_checks_in,
    service_that_the_job_destroys_can_be_checked_in_again,
    service_that_was_given_away_gets_another_port,
    job_that_crashes_at_once_is_throttled,
    job_that_ends_without_taking_its_message_is_throttled,
    throttled_job_recovers,
    job_without_a_program_is_throttled,
    job_that_is_kept_alive_is_started_again,
    job_is_asked_to_end_by_its_control_port,
    jobs_end_with_their_session,
    job_has_the_user_that_its_declaration_says,
    several_services_of_a_job_have_one_instance,
}

const LABEL: &str = "the job";
/// Milliseconds over which starts are counted in a test that takes less.
const LONG: u32 = 600_000;

fn declare(job: &Job) {
    check::equal("the declaration", names::declare(job), Ok(()));
}

fn look_up(service: usize) -> PortName {
    names::look_up(SERVICES[service]).expect("the service is declared")
}

fn refused<T>(code: i32) -> Result<T, KernReturn> {
    Err(KernReturn(code))
}

fn throw(to: PortName, id: i32) {
    Message::copy_send(to).id(id).send_within(0).expect("the queue has room");
}

/// Lets the instance receive messages with these ids, in this order, and no more.
fn expect_messages(instance: &mut Instance, gate: &Gate, ids: &[u32]) {
    for &id in ids {
        check::equal("the message", instance.order(gate, Order::Take, 0), (KERN_SUCCESS, id));
    }
    check::equal("one more message", instance.order(gate, Order::Take, 0).0, MACH_RCV_TIMED_OUT);
}

fn look_up_starts_the_job_and_messages_wait_for_it() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    let tasks = task::counts().tasks;
    let port = look_up(0);
    check::equal("the tasks", task::counts().tasks, tasks + 1);
    (1..=3).for_each(|id| throw(port, id));
    let mut instance = gate.next();
    check::equal("the control port came", instance.succeed(&gate, Order::CheckIn, 0), 1);
    expect_messages(&mut instance, &gate, &[1, 2, 3]);
    throw(port, 4);
    expect_messages(&mut instance, &gate, &[4]);
    check::equal("the port that is found", look_up(0), port);
}

fn first_message_starts_the_job_without_a_look_up() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    let tasks = task::counts().tasks;
    let port = look_up(0);
    let mut first = gate.next();
    first.succeed(&gate, Order::CheckIn, 0);
    let pid = first.pid;
    first.give(Order::Exit, 0);
    wait_for_end(pid, tasks);
    check::that("no instance starts by itself", gate.is_quiet());
    throw(port, 7);
    throw(port, 8);
    let mut second = gate.next();
    check::equal("the tasks", task::counts().tasks, tasks + 1);
    second.succeed(&gate, Order::CheckIn, 0);
    expect_messages(&mut second, &gate, &[7, 8]);
}

fn many_look_ups_start_one_instance() {
    const LOOK_UPS: usize = 100;
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    let tasks = task::counts().tasks;
    let port = look_up(0);
    for _ in 1..LOOK_UPS {
        check::equal("the port", look_up(0), port);
    }
    check::equal("the tasks", task::counts().tasks, tasks + 1);
    let mut instance = gate.next();
    instance.succeed(&gate, Order::CheckIn, 0);
    check::equal("the port", look_up(0), port);
    check::that("there is one instance", gate.is_quiet());
    check::equal("the tasks", task::counts().tasks, tasks + 1);
}

fn service_comes_back_with_its_messages_when_its_job_dies() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    let port = look_up(0);
    let mut first = gate.next();
    first.succeed(&gate, Order::CheckIn, 0);
    (1..=4).for_each(|id| throw(port, id));
    check::equal("the message", first.succeed(&gate, Order::Take, 0), 1);
    let pid = first.pid;
    first.give(Order::Fault, 0);
    let mut second = gate.next();
    check::that("it is another task", second.pid != pid);
    check::equal("the control port came", second.succeed(&gate, Order::CheckIn, 0), 1);
    expect_messages(&mut second, &gate, &[2, 3, 4]);
    check::equal("the port that is found", look_up(0), port);
}

/// A message waits all the time, so each end brings the next instance.
fn job_that_dies_at_any_step_has_its_next_instance() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]).starts(16, LONG));
    let port = look_up(0);
    throw(port, 9);
    gate.next().give(Order::Fault, 0);
    gate.next().give(Order::Exit, 0);
    gate.next().give(Order::CheckInAndVanish, 0);
    for last in [Order::CheckIn, Order::CheckInPlainly] {
        let mut instance = gate.next();
        instance.succeed(&gate, last, 0);
        instance.give(Order::Exit, 1);
    }
    let mut instance = gate.next();
    instance.succeed(&gate, Order::CheckIn, 0);
    instance.succeed(&gate, Order::Drop, 0);
    instance.give(Order::Fault, 0);
    let terminated = gate.next();
    let task = task::for_pid(terminated.pid).expect("the instance is alive");
    task::terminate(task).expect("the instance is alive");
    port::deallocate(task).expect("the dead name exists");
    let mut last = gate.next();
    last.succeed(&gate, Order::CheckIn, 0);
    expect_messages(&mut last, &gate, &[9]);
}

fn adaptive() -> Job {
    job(LABEL, &[0]).policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified)
}

fn boosts_wait_for_the_job_and_move_with_the_service() {
    let (gate, app) = (Gate::new(), Puppet::app());
    declare(&adaptive());
    let port = look_up(0);
    let mut instance = gate.next();
    check::equal("without messages", instance.boosts(), (0, 0));
    app.send_to_right(port, Parcel::default());
    check::equal("a message waits in the service's port", instance.boosts(), (1, 0));
    app.send_to_right(port, Parcel::default());
    instance.succeed(&gate, Order::CheckIn, 0);
    check::equal("the service has moved", instance.boosts(), (2, 0));
    instance.succeed(&gate, Order::Take, 0);
    check::equal("one message is received", instance.boosts(), (2, 1));
    instance.succeed(&gate, Order::Drop, 0);
    check::equal("the service has gone back", instance.boosts(), (1, 1));
    instance.succeed(&gate, Order::CheckIn, 0);
    check::equal("the service has come again", instance.boosts(), (2, 1));
    app.end();
}

/// The service's port is a watch port of the instance that is started for its messages.
fn next_instance_is_boosted_before_it_checks_in() {
    let (gate, app) = (Gate::new(), Puppet::app());
    declare(&adaptive());
    let port = look_up(0);
    let mut first = gate.next();
    first.succeed(&gate, Order::CheckIn, 0);
    [0; 3].iter().for_each(|_| app.send_to_right(port, Parcel::default()));
    check::equal("with three messages", first.boosts(), (3, 0));
    first.give(Order::Fault, 0);
    let mut second = gate.next();
    check::equal("before it checks in", second.boosts(), (3, 0));
    second.succeed(&gate, Order::CheckIn, 0);
    check::equal("behind it", second.boosts(), (3, 0));
    app.end();
    check::equal("with the application its boosts are gone", second.boosts(), (0, 0));
}

fn only_the_task_that_was_started_checks_in() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    declare(&job("the other job", &[1]));
    let names_of = |result: Result<Port, KernReturn>| result.map(|port| port.name());
    let attack = |what: &str| {
        check::equal(what, names_of(names::check_in(SERVICES[0])), refused(NOT_PRIVILEGED));
        let taken = names::check_in_service(SERVICES[0]).map(|taken| taken.port);
        check::equal(what, names_of(taken), refused(NOT_PRIVILEGED));
        check::equal(what, names_of(names::take_control()), refused(NOT_PRIVILEGED));
        let port = port_with_send();
        check::equal(what, names::register(SERVICES[0], port.name()), refused(NAME_IN_USE));
        port::destroy(port.name()).expect("the name exists");
    };
    attack("before the job runs");
    let port = look_up(0);
    let mut instance = gate.next();
    attack("while it starts");
    look_up(1);
    let mut other = gate.next();
    check::equal("another job", other.order(&gate, Order::CheckIn, 0).0, KernReturn(NOT_PRIVILEGED));
    check::equal("another job", other.order(&gate, Order::CheckInPlainly, 0).0, KernReturn(NOT_PRIVILEGED));
    instance.succeed(&gate, Order::CheckIn, 0);
    attack("while it runs");
    for order in [Order::CheckIn, Order::CheckInPlainly] {
        check::equal("twice", instance.order(&gate, order, 0).0, KernReturn(SERVICE_ACTIVE));
    }
    check::equal("the control port, twice", instance.order(&gate, Order::TakeControl, 0).0, KernReturn(SERVICE_ACTIVE));
    throw(port, 5);
    expect_messages(&mut instance, &gate, &[5]);
}

fn service_that_the_job_destroys_can_be_checked_in_again() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    let port = look_up(0);
    let mut instance = gate.next();
    check::equal("the control port came", instance.succeed(&gate, Order::CheckIn, 0), 1);
    throw(port, 1);
    instance.succeed(&gate, Order::Drop, 0);
    throw(port, 2);
    check::equal("the port that is found", look_up(0), port);
    check::equal("the control port came again", instance.succeed(&gate, Order::CheckIn, 0), 0);
    expect_messages(&mut instance, &gate, &[1, 2]);
    check::that("there is one instance", gate.is_quiet());
}

fn service_that_was_given_away_gets_another_port() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0]));
    let (tasks, port) = (task::counts().tasks, look_up(0));
    let mut instance = gate.next();
    instance.succeed(&gate, Order::CheckIn, 0);
    let pid = instance.pid;
    instance.give(Order::GiveAway, 0);
    let gift = Message::receive_within(gate.0.name(), 1000).expect("the right comes");
    check::equal("the message", gift.message_id(), GIVEN_AWAY);
    check::equal("the port", gift.descriptor(0).name, port);
    gate.next().give(Order::Exit, 0);
    wait_for_end(pid, tasks);
    let other = look_up(0);
    check::that("it is another port", other != port);
    throw(other, 6);
    let mut second = gate.next();
    second.succeed(&gate, Order::CheckIn, 0);
    expect_messages(&mut second, &gate, &[6]);
    drop(Port::of(port));
    check::equal("the old port", port::port_type(port), Ok(PortType::DEAD_NAME));
    throw(other, 7);
    expect_messages(&mut second, &gate, &[7]);
}

/// Ends each instance in this way while a message waits for it. The message is destroyed in the end, so its sender learns
/// it, and so does everybody who has a send right.
fn is_throttled_after(end: Order) {
    const STARTS: u32 = 3;
    let gate = Gate::new();
    declare(&job(LABEL, &[0]).starts(STARTS, LONG));
    let (port, reply) = (look_up(0), Port::new());
    let mut request = Message::copy_send(port).id(1).reply_to(reply.name(), D::MAKE_SEND_ONCE);
    request.send_within(0).expect("the queue has room");
    for _ in 0..STARTS {
        gate.next().give(end, 0);
    }
    let destroyed = Message::receive_within(reply.name(), 10_000).map(|message| message.message_id());
    check::equal("the request", destroyed, Ok(MACH_NOTIFY_SEND_ONCE));
    check::equal("the port", port::port_type(port), Ok(PortType::DEAD_NAME));
    for _ in 0..3 {
        check::equal("looking up", names::look_up(SERVICES[0]), refused(SERVICE_THROTTLED));
    }
    check::that("no instance starts", gate.is_quiet());
    check::equal("checking in", names::check_in(SERVICES[0]).map(|_| ()), refused(NOT_PRIVILEGED));
    check::equal("the label", names::declare(&job(LABEL, &[])), refused(NAME_IN_USE));
}

fn job_that_crashes_at_once_is_throttled() {
    is_throttled_after(Order::Fault);
}

fn job_that_ends_without_taking_its_message_is_throttled() {
    is_throttled_after(Order::Exit);
}

/// Looks a service up until its job is not throttled any more.
fn look_up_in_time(service: usize) -> PortName {
    let deadline = now() + 10_000 * MILLISECOND;
    loop {
        match names::look_up(SERVICES[service]) {
            Ok(port) => return port,
            Err(code) => check::equal("looking up", code, KernReturn(SERVICE_THROTTLED)),
        }
        check::that("the job recovers in time", now() < deadline);
        time::sleep(1);
    }
}

/// The job crashes as often as it is started, until it is throttled. On a slow machine that may take some more starts.
fn throttled_job_recovers() {
    const WINDOW: u32 = 1000;
    let gate = Gate::new();
    declare(&job(LABEL, &[0]).starts(2, WINDOW));
    let tasks = task::counts().tasks;
    let mut old = look_up(0);
    for _ in 0..2 {
        loop {
            let instance = gate.next();
            let pid = instance.pid;
            instance.give(Order::Fault, 0);
            wait_for_end(pid, tasks);
            match names::look_up(SERVICES[0]) {
                Ok(port) => check::equal("the port", port, old),
                Err(code) => break check::equal("looking up", code, KernReturn(SERVICE_THROTTLED)),
            }
        }
        let new = look_up_in_time(0);
        check::that("it is another port", new != old);
        old = new;
    }
    throw(old, 3);
    let mut instance = gate.next();
    instance.succeed(&gate, Order::CheckIn, 0);
    expect_messages(&mut instance, &gate, &[3]);
}

fn job_without_a_program_is_throttled() {
    declare(&Job::new(LABEL, "no such program").service(SERVICES[0]));
    for _ in 0..3 {
        check::equal("looking up", names::look_up(SERVICES[0]), refused(SERVICE_THROTTLED));
    }
    declare(&Job::new("another job", "no such program").keep_alive());
    check::equal("terminating it", names::terminate_job("another job"), Err(KERN_TERMINATED));
}

fn job_that_is_kept_alive_is_started_again() {
    let gate = Gate::new();
    declare(&job(LABEL, &[]).keep_alive());
    let pids = [Order::Exit, Order::Fault, Order::Sleep].map(|order| {
        let instance = gate.next();
        let pid = instance.pid;
        instance.give(order, 0);
        pid
    });
    check::that("these are different tasks", pids[0] != pids[1] && pids[1] != pids[2]);
}

fn job_is_asked_to_end_by_its_control_port() {
    let gate = Gate::new();
    declare(&job(SERVICES[0], &[0]));
    declare(&job(LABEL, &[]).keep_alive());
    check::equal("a job that does not run", names::terminate_job(SERVICES[0]), Err(KERN_TERMINATED));
    check::equal("no job", names::terminate_job("no job"), refused(UNKNOWN_SERVICE));
    let mut kept = gate.next();
    kept.succeed(&gate, Order::TakeControl, 0);
    look_up(0);
    let mut instance = gate.next();
    // The request waits in the control port until the job takes it. A full queue has enough of them.
    for _ in 0..20 {
        check::equal("asking the job to end", names::terminate_job(SERVICES[0]), Ok(()));
    }
    check::equal("the control port came", instance.succeed(&gate, Order::CheckIn, 0), 1);
    check::equal("the request", instance.succeed(&gate, Order::Hear, 0), TERMINATE as u32);
    instance.give(Order::EndWhenAsked, 0);
    let told = Message::receive_within(gate.0.name(), 10_000).map(|message| message.message_id());
    check::equal("the job says", told, Ok(ASKED_TO_END));
    check::equal("another job asks", kept.order(&gate, Order::Terminate, 1).0, KernReturn(UNKNOWN_SERVICE));
}

fn job_has_the_user_that_its_declaration_says() {
    const USER: u32 = 501;
    let gate = Gate::new();
    declare(&job(LABEL, &[0]).user(USER, 20));
    look_up(0);
    let mut instance = gate.next();
    check::equal("declaring", instance.order(&gate, Order::Declare, 0).0, KernReturn(NOT_PRIVILEGED));
    check::equal("ending a job", instance.order(&gate, Order::Terminate, 0).0, KernReturn(NOT_PRIVILEGED));
    instance.succeed(&gate, Order::CheckIn, 0);
}

fn several_services_of_a_job_have_one_instance() {
    let gate = Gate::new();
    declare(&job(LABEL, &[0, 1]));
    let tasks = task::counts().tasks;
    let ports = [0, 1].map(look_up);
    check::equal("the tasks", task::counts().tasks, tasks + 1);
    throw(ports[0], 1);
    throw(ports[1], 2);
    let mut first = gate.next();
    check::equal("the control port came", first.succeed(&gate, Order::CheckIn, 1), 1);
    expect_messages(&mut first, &gate, &[2]);
    throw(ports[1], 3);
    first.give(Order::Exit, 0);
    let mut second = gate.next();
    check::equal("the control port came", second.succeed(&gate, Order::CheckIn, 0), 1);
    expect_messages(&mut second, &gate, &[1]);
    check::equal("the control port came again", second.succeed(&gate, Order::CheckIn, 1), 0);
    expect_messages(&mut second, &gate, &[3]);
    check::equal("the ports that are found", [0, 1].map(look_up), ports);
}

/// A name service of this task, which cannot answer while this thread waits.
struct OwnService {
    registry: Registry,
    gate: Gate,
    reply: Port,
    /// A port to which nobody sends.
    silent: Port,
}

impl OwnService {
    fn new() -> OwnService {
        let (registry, gate, reply, silent) = (Registry::new(), Gate(port_with_send()), Port::new(), Port::new());
        let mut name = [0; NAME_SIZE];
        name[..GATE.len()].copy_from_slice(GATE.as_bytes());
        let request = Message::copy_send(registry.port()).id(REGISTER).port(gate.0.name(), D::COPY_SEND);
        let request = request.bytes(&NDR).bytes(&name).reply_to(reply.name(), D::MAKE_SEND_ONCE);
        request.clone().send().expect("the queue has room");
        OwnService { registry, gate, reply, silent }
    }

    /// Serves until an instance is ready.
    fn next(&mut self) -> Instance {
        const TURN: u64 = 5 * MILLISECOND;
        const TURNS: u32 = 2000;
        let hello = (0..TURNS).find_map(|_| {
            let nothing = self.registry.receive(self.silent.name(), now() + TURN).expect("the ports are there");
            check::that("nobody sends to the port", nothing.is_none());
            Message::receive_within(self.gate.0.name(), 0).ok()
        });
        Instance::of(hello.expect("an instance is ready"))
    }

    /// Ends the session, and returns the id of the message that came to the gate meanwhile.
    fn end(mut self) -> Result<i32, KernReturn> {
        self.registry.clear();
        drop(self.registry);
        let told = Message::receive_within(self.gate.0.name(), 0).map(|message| message.message_id());
        Message::receive_within(self.reply.name(), 0).expect("the gate was registered").destroy();
        port::destroy(self.gate.0.into_name()).expect("the name exists");
        told
    }
}

/// One job ends when it is asked, one hears it and goes on, one does not take its control port, one does not run.
fn jobs_end_with_their_session() {
    // The first one makes the names of the task known.
    let _ = OwnService::new().end();
    let before = task::counts();
    let mut own = OwnService::new();
    for (label, last) in [("polite", Order::EndWhenAsked), ("deaf", Order::Sleep)] {
        own.registry.declare(job(label, &[]).keep_alive()).expect("there is room");
        own.next().give(Order::TakeControl, 0);
        own.next().give(last, 0);
    }
    own.registry.declare(job("busy", &[]).keep_alive()).expect("there is room");
    own.next().give(Order::Sleep, 0);
    own.registry.declare(job("idle", &[0])).expect("there is room");
    check::equal("the label", own.registry.declare(job("idle", &[])), refused(NAME_IN_USE));
    check::equal("the tasks", task::counts().tasks, before.tasks + 3);
    check::equal("the polite job says", own.end(), Ok(ASKED_TO_END));
    check::equal("the counts", task::counts(), before);
}
