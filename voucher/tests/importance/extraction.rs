//! Importance as an attribute of vouchers: recipes and their extraction (vouchers 10.2, 10.4).

use crate::support::{Fixture, fixture};
use abi::voucher::RecipeHeader;
use abi::voucher::{
    MACH_VOUCHER_ATTR_IMPORTANCE_SELF as SELF, MACH_VOUCHER_ATTR_NOOP as NOOP, MACH_VOUCHER_ATTR_REDEEM as REDEEM,
    MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE,
};
use std::task::Poll;
use voucher::importance::Source;
use voucher::{
    CallingTask, Driver, Error, Key, ReleaseRequest, VoucherId, extract_all_attr_recipes, extract_attr_recipe,
};
use zerocopy::FromBytes;

const IMPORTANCE: u32 = 2;
const USER_DATA: u32 = 7;
/// The bytes of a buffer before a call.
const POISON: u8 = 0xAA;

/// The fixture, in which A has the process id 42, and a voucher of A with its own importance.
fn own_importance(other: Option<Vec<u8>>) -> (Fixture, VoucherId) {
    let mut f = fixture();
    f.world.kernel.first_process = 42 - f.world.kernel.task_number("A").expect("it is alive") as i32;
    let mut recipes = vec![(IMPORTANCE, SELF, None, vec![])];
    recipes.extend(other.map(|content| (USER_DATA, STORE, None, content)));
    let voucher = f.world.create_voucher("A", &recipes).unwrap().unwrap();
    (f, voucher)
}

/// Extracts the recipe for importance into a buffer of `room` bytes.
fn extract(f: &mut Fixture, voucher: VoucherId, room: usize) -> Result<(RecipeHeader, Vec<u8>), Error> {
    let mut buffer = vec![POISON; room];
    let size = f.world.with_vouchers(|system| {
        extract_attr_recipe(system, &CallingTask::KERNEL, Some(voucher), IMPORTANCE, &mut buffer)
    })?;
    let (header, content) = RecipeHeader::read_from_prefix(&buffer[..size]).expect("a whole header");
    Ok((header, content.to_vec()))
}

// covers vouchers E-12
#[test]
fn a_recipe_without_room_for_the_text_is_not_extracted() {
    let (mut f, voucher) = own_importance(None);
    assert_eq!(extract(&mut f, voucher, 16).map(drop), Err(Error::NoSpace));
}

// covers vouchers E-13 E-14
#[test]
fn the_recipe_of_importance_is_a_text_that_fits_the_room() {
    let (mut f, voucher) = own_importance(None);
    for (room, text) in [(5120, &b"Importance for pid 42\0"[..]), (26, b"Importanc\0")] {
        let (header, content) = extract(&mut f, voucher, room).unwrap();
        assert_eq!((header.key, header.command, header.content_size as usize), (IMPORTANCE, NOOP, text.len()));
        assert_eq!(content, text);
    }
}

// covers vouchers E-19
#[test]
fn no_byte_is_written_beyond_a_buffer_that_is_too_small_for_all_recipes() {
    let (mut f, voucher) = own_importance(Some(vec![1; 5000]));
    for room in [16, 17] {
        let mut buffer = vec![POISON; room + 64];
        let (inside, beyond) = buffer.split_at_mut(room);
        let result = f
            .world
            .with_vouchers(|system| extract_all_attr_recipes(system, &CallingTask::KERNEL, Some(voucher), inside));
        assert_eq!(result, Err(Error::NoSpace));
        assert!(beyond.iter().all(|&byte| byte == POISON));
    }
}

#[test]
fn nothing_is_redeemed_from_no_voucher() {
    let mut f = fixture();
    assert_eq!(f.world.create_voucher("A", &[(IMPORTANCE, REDEEM, None, vec![])]), Ok(None));
}

#[test]
fn importance_is_redeemed_as_it_is() {
    let mut f = fixture();
    let voucher = f.boost("A", "B");
    let redeemed = f.world.create_voucher("B", &[(IMPORTANCE, REDEEM, Some(voucher), vec![])]);
    assert_eq!((redeemed, f.user_refs("B", voucher)), (Ok(Some(voucher)), 2));
    f.world.check();
    assert_eq!((f.inherit(voucher).made(), f.inherit_x(voucher), f.a("B")), (2, (1, 0), 1));
    f.release("B", voucher);
    assert_eq!(f.a("B"), 1);
    f.release("B", voucher);
    assert_eq!((f.a("B"), f.inherits()), (0, 0));
}

#[test]
fn a_value_that_was_not_handed_out_is_not_released() {
    let mut f = fixture();
    let handle = Source::Task(f.world.element("A")).handle();
    let mut release = |handle, sync| {
        let request = ReleaseRequest { key: Key::IMPORTANCE, handle, sync };
        f.world.with_vouchers(|system| system.release_value(&request))
    };
    assert_eq!(release(handle, 0), Poll::Ready(Err(Error::Failure)));
    assert_eq!(release(handle, 1), Poll::Ready(Err(Error::Failure)));
    assert_eq!(release(0, 0), Poll::Ready(Err(Error::Failure)));
    f.world.check();
    assert_eq!(f.refs("A"), 1);
}
