//! Behaviour of the reference that looks like a mistake and is kept, because programs can see it (vouchers, appendix A).
//! Those not here are in the examples: Q03, Q04 (`commands.rs`), Q05, Q09 (`extraction.rs`), Q25 (`bank.rs`).

use crate::bank::*;
use crate::support::*;
use abi::voucher::*;
use voucher::managers::bank::*;
use voucher::*;

/// Vouchers 3.8, with Q01.
#[test]
fn each_manager_accepts_its_own_commands_and_no_others() {
    let mut world = World::new();
    let v = world.make(&[current_task(), it(4, 710, 0, [0xFF, 0x10, 0, 0]), st(7, "a"), st(8, "b")]);
    let accepted = |key: u32, command: u32| match key {
        3 => [4, 5, 10, 610, 611].contains(&command),
        4 => command == 710,
        _ => [10, 211].contains(&command),
    };
    for key in [3, 4, 7, 8] {
        for command in [0, 4, 5, 6, 9, 10, 11, 200, 211, 601, 610, 611, 701, 710, 999, u32::MAX] {
            let code = world.mk(&[it(key, command, v, [0xFF, 0x10, 0, 0])]).0;
            assert_eq!(code, if accepted(key, command) { 0 } else { 4 }, "key {key}, command {command}");
        }
    }
    world.end();
}

#[test]
fn q02_redeeming_all_asks_the_bank_before_it_fails_for_the_priority() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    assert_eq!(world.mk(&[rd(ALL, w)]), (4, 0), "the bank lets A redeem its own");
    let w = world.give(w, B);
    assert_eq!(world.switch(B).mk(&[rd(ALL, w)]), (20, 0), "but not B");
    world.end();
}

#[test]
fn q06_without_any_room_user_data_and_bank_succeed_with_nothing() {
    let mut world = World::new();
    let v = world.make(&[current_task(), it(4, 710, 0, [0xFF, 0x10, 0, 0]), st(7, "a"), st(8, "b")]);
    let (voucher, caller) = (world.id(v), world.caller());
    let mut extract = |key: u32, room: usize| {
        let mut buffer = vec![0; room];
        let mut out = OutBuffer::new(&mut buffer);
        extract_attr_content(&mut world, &caller, Some(voucher), key, &mut out).map(|()| out.size())
    };
    for key in [3, 7, 8] {
        assert_eq!(extract(key, 0), Ok(0), "key {key}");
    }
    assert_eq!((extract(4, 0), extract(3, 1)), (Err(Error::InvalidValue), Err(Error::NoSpace)));
    world.end();
}

#[test]
fn q17_a_voucher_is_adopted_without_being_redeemed() {
    let mut world = World::new();
    let x = x(&mut world);
    assert_eq!(bank_value(&world, x), "A(A,B,A,A;-)");
    let in_c = world.give(x, C);
    assert_eq!(world.switch(C).mk(&[rd(3, in_c)]), (20, 0), "C may not redeem it");
    let Adoption { bill, .. } = world.vouchers.bank.adopt(world.bank_id(C), world.handle(in_c, 3));
    world.vouchers.bank.charge(bill.expect("C may work on it"), Usage { cpu: 5, energy: 0 });
    let serviced = [B, C].map(|task| world.vouchers.bank.balance(world.bank_id(task)).serviced.cpu);
    assert_eq!(serviced, [5, 0], "in the name of B");
    world.end();
}

#[test]
fn q18_the_originators_pid_is_that_of_the_holder() {
    let mut world = World::new();
    let x = x(&mut world);
    let y = world.make(&[send_preprocess(x)]);
    let y = world.give(y, C);
    let z = world.switch(C).make(&[auto_redeem(y)]);
    assert_eq!((bank_value(&world, z), pid(&mut world, z)), ("A(A,C,B,B;-)".to_owned(), 10));
    let (_, token) = world.command(z, 3, BANK_PERSONA_TOKEN, 96);
    assert_eq!(token[8..12], 20u32.to_le_bytes(), "the token has the originator");
    world.end();
}

/// The copy that a message's processing begins with keeps the other attributes; here it comes to nothing.
#[test]
fn q23_a_voucher_that_cannot_be_processed_vanishes_from_its_message() {
    let fake = Fake::default();
    fake.0.borrow_mut().processing = Processing { send: true, receive: true };
    let mut world = World::with_fake(&fake);
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8]), st(7, "a")]);
    let (voucher, caller) = (world.id(v), world.caller());
    let sent = send_preprocessing(&mut world, &caller, voucher);
    assert!(matches!(sent, ProcessedVoucher::Replaced(None)), "{sent:?}");
    let received = receive_postprocessing(&mut world, &caller, voucher);
    assert!(matches!(received, ProcessedVoucher::Replaced(None)), "{received:?}");
    assert_eq!(fake.0.borrow().asked[1..].iter().map(|asked| asked.command).collect::<Vec<_>>(), [5, 4]);
    assert_eq!((world.vouchers.registry.len(), world.says(v)[1].1.clone()), (1, b"a".to_vec()));
    world.end();
}
