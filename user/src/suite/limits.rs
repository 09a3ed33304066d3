//! What a task may use: it gets an error, everything else goes on, and afterwards there is room again.

use super::tests;
use crate::check;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::Thread;
use abi::PortName;
use abi::code::*;
use abi::port::*;
use abi::task::PAGE_SIZE;

tests! { "limits":
    a_name_table_ends_and_goes_on_when_names_are_given_back,
    a_tasks_memory_ends_and_comes_back,
    regions_of_memory_end_and_come_back,
    queued_messages_are_on_their_senders_budget,
    a_task_has_only_so_many_threads,
    sets_of_one_port_end,
}

/// Dead names: they cost a name each and nothing else.
fn a_name_table_ends_and_goes_on_when_names_are_given_back() {
    let mut last = PortName(0);
    let mut count = 0u32;
    let error = loop {
        match port::allocate(MACH_PORT_RIGHT_DEAD_NAME) {
            Ok(name) => last = name,
            Err(code) => break code,
        }
        count += 1;
        check::that("it ends some time", count <= 1 << 17);
    };
    check::that("it is for want of room", [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE].contains(&error));
    check::that("there are many", count > 1000);
    port::mod_refs(last, MACH_PORT_RIGHT_DEAD_NAME, -1).expect("the last one");
    let again = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room again");
    check::equal("the index", again.index(), last.index());
}

fn a_tasks_memory_ends_and_comes_back() {
    const SIZE: u64 = 1 << 20;
    let mut blocks = heapless::Vec::<u64, 512>::new();
    let error = loop {
        match task::allocate(SIZE) {
            Ok(at) => blocks.push(at).expect("it ends before"),
            Err(code) => break code,
        }
    };
    check::that("it is for want of room", [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE].contains(&error));
    check::that("there is some", blocks.len() > 4);
    for &at in &blocks {
        task::deallocate(at, SIZE).expect("it is there");
    }
    let at = task::allocate(SIZE).expect("there is room again");
    task::deallocate(at, SIZE).expect("it is there");
}

fn regions_of_memory_end_and_come_back() {
    const BASE: u64 = 0x5000_0000_0000;
    let at = |number: u64| BASE + number * 3 * PAGE_SIZE;
    let mut count = 0u64;
    let error = loop {
        match task::allocate_at(at(count), PAGE_SIZE, 0) {
            Ok(_) => count += 1,
            Err(code) => break code,
        }
        check::that("it ends some time", count < 5000);
    };
    check::that("it is for want of room", [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE].contains(&error));
    task::deallocate(BASE, at(count) - BASE).expect("all of them");
    task::allocate_at(BASE, PAGE_SIZE, 0).expect("there is room again");
    task::deallocate(BASE, PAGE_SIZE).expect("it is there");
}

fn queued_messages_are_on_their_senders_budget() {
    let ports = [0; 16].map(|_| port_with_send());
    for port in &ports {
        port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    }
    let mut sent = 0;
    let error = 'full: loop {
        for port in &ports {
            match Message::copy_send(port.name()).words(&[0; 200]).send_within(0) {
                Ok(()) => sent += 1,
                Err(code) => break 'full code,
            }
        }
    };
    check::that("there is a limit", [MACH_SEND_NO_BUFFER, MACH_SEND_TIMED_OUT].contains(&error));
    check::that("there is room for some", sent > 100);
    for port in &ports {
        while Message::receive_within(port.name(), 0).is_ok() {
            sent -= 1;
        }
    }
    check::equal("messages that did not arrive", sent, 0);
    Message::copy_send(ports[0].name()).send_within(0).expect("there is room again");
}

fn a_task_has_only_so_many_threads() {
    let mut threads = heapless::Vec::<Thread, 1024>::new();
    let error = loop {
        match Thread::suspended(|_| {}, 0) {
            Ok(thread) => threads.push(thread).expect("it ends before"),
            Err(code) => break code,
        }
    };
    check::equal("the code", error, KERN_RESOURCE_SHORTAGE);
    check::that("there are many", threads.len() > 50);
    for thread in &threads {
        thread.resume().expect("it is suspended");
    }
    threads.into_iter().for_each(Thread::join);
    Thread::start(|_| {}, 0).expect("there is room again").join();
}

fn sets_of_one_port_end() {
    let port = Port::new();
    let mut sets = heapless::Vec::<PortName, 128>::new();
    let error = loop {
        let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
        sets.push(set).expect("it ends before");
        if let Err(code) = port::insert_member(port.name(), set) {
            break code;
        }
    };
    check::equal("the code", error, KERN_RESOURCE_SHORTAGE);
    check::equal("sets", sets.len(), 65);
}
