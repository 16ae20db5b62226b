//! ListSnapshotBlocks and ListChangedBlocks.
//!
//! "It only returns block indexes and tokens that have data written to them"
//! (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-faq.html>). What was never put is in no list: on an encrypted
//! volume it reads as noise and not as zeros.

use super::start::seconds;
use super::tokens::{BLOCK_GOOD, Sealer};
use super::{Finder, chain, invalid};
use crate::account::image::Snapshot;
use crate::api::Cx;
use crate::api::error::ApiError;
use crate::blocks::BLOCK_SIZE;
use crate::ids::SnapshotId;
use serde::Deserialize;
use serde_json::{Value, json};

/// The most blocks of an answer; as many as an answer has if nothing is asked.
const MOST: usize = 10_000;

/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListSnapshotBlocks.html>
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct ListSnapshotBlocks {
    snapshot_id: String,
    next_token: Option<String>,
    max_results: Option<i64>,
    starting_block_index: Option<i64>,
}

/// <https://docs.aws.amazon.com/ebs/latest/APIReference/API_ListChangedBlocks.html>
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct ListChangedBlocks {
    first_snapshot_id: Option<String>,
    second_snapshot_id: String,
    next_token: Option<String>,
    max_results: Option<i64>,
    starting_block_index: Option<i64>,
}

/// Carries out ListSnapshotBlocks.
pub(crate) fn blocks(request: &ListSnapshotBlocks, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let most = most(request.max_results)?;
    let sealer = sealer(cx);
    let snapshot = Finder::of(cx).readable(&request.snapshot_id)?;
    let of = ["blocks", snapshot.id.as_str()];
    let from = from(
        &sealer,
        &of,
        request.next_token.as_deref(),
        request.starting_block_index,
    )?;
    let mut present = chain(cx.blocks, snapshot)?.present_from(from, most + 1);
    let next = cut(&mut present, most);
    let token = |index: &u32| json!({ "BlockIndex": index, "BlockToken": sealer.block(snapshot.id.as_str(), *index) });
    let blocks: Vec<Value> = present.iter().map(token).collect();
    let next = next.map(|index| sealer.page(&of, index));
    Ok(answer(&sealer, snapshot, "Blocks", blocks, next))
}

/// Carries out ListChangedBlocks.
pub(crate) fn changed(request: &ListChangedBlocks, cx: &mut Cx<'_>) -> Result<Value, ApiError> {
    let most = most(request.max_results)?;
    let sealer = sealer(cx);
    let finder = Finder::of(cx);
    // "The SecondSnapshotId parameter must be specified with a FirstSnapshotID parameter; otherwise, an error occurs."
    let Some(first) = &request.first_snapshot_id else {
        let message = "ListChangedBlocks needs firstSnapshotId.";
        return Err(invalid("INVALID_SNAPSHOT_ID", message));
    };
    let (first, second) = (
        finder.readable(first)?,
        finder.readable(&request.second_snapshot_id)?,
    );
    let (before, after) = (chain(cx.blocks, first)?, chain(cx.blocks, second)?);
    if !before.is_related_to(&after) {
        let message = format!(
            "The snapshots '{}' and '{}' are not of the same lineage.",
            first.id, second.id
        );
        return Err(invalid("UNRELATED_SNAPSHOTS", message));
    }
    let of = ["changed", first.id.as_str(), second.id.as_str()];
    let mut from = from(
        &sealer,
        &of,
        request.next_token.as_deref(),
        request.starting_block_index,
    )?;
    let mut found: Vec<(u32, bool, bool)> = Vec::new();
    while found.len() <= most {
        let mut present = before.present_from(from, MOST);
        present.extend(after.present_from(from, MOST));
        present.sort_unstable();
        present.dedup();
        present.truncate(MOST);
        let Some(last) = present.last().copied() else {
            break;
        };
        for index in present {
            let (old, new): (Option<&SnapshotId>, _) = (before.source(index), after.source(index));
            if old != new {
                found.push((index, old.is_some(), new.is_some()));
            }
        }
        match last.checked_add(1) {
            Some(next) => from = next,
            None => break,
        }
    }
    let next = (found.len() > most).then(|| found.get(most).map(|(index, ..)| *index));
    found.truncate(most);
    let token = |(index, old, new): &(u32, bool, bool)| {
        let mut block = json!({ "BlockIndex": index });
        if let Some(map) = block.as_object_mut() {
            if *old {
                let token = sealer.block(first.id.as_str(), *index);
                map.insert("FirstBlockToken".to_owned(), token.into());
            }
            if *new {
                let token = sealer.block(second.id.as_str(), *index);
                map.insert("SecondBlockToken".to_owned(), token.into());
            }
        }
        block
    };
    let blocks: Vec<Value> = found.iter().map(token).collect();
    let next = next.flatten().map(|index| sealer.page(&of, index));
    Ok(answer(&sealer, second, "ChangedBlocks", blocks, next))
}

/// What seals this request's tokens.
fn sealer(cx: &Cx<'_>) -> Sealer {
    Sealer {
        secret: cx.account.key.session_secret.clone(),
        owner: cx.owner().to_owned(),
        now: cx.now,
    }
}

/// "Valid Range: Minimum value of 100. Maximum value of 10000"; of less than 100 it says: "then the API will return at
/// least 100 results" (<https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-faq.html>).
fn most(asked: Option<i64>) -> Result<usize, ApiError> {
    match asked {
        None => Ok(MOST),
        Some(n @ 1..=10_000) => Ok(usize::try_from(n).unwrap_or(MOST).max(100)),
        Some(n) => {
            let message = format!("MaxResults {n} is not from 100 to {MOST}.");
            Err(invalid("INVALID_PARAMETER_VALUE", message))
        }
    }
}

/// "If you specify NextToken, then StartingBlockIndex is ignored."
fn from(
    sealer: &Sealer,
    of: &[&str],
    token: Option<&str>,
    index: Option<i64>,
) -> Result<u32, ApiError> {
    match (token, index) {
        (Some(token), _) => sealer.open_page(of, token),
        (None, None) => Ok(0),
        (None, Some(index)) => u32::try_from(index).map_err(|_| {
            let message = format!("The starting block index {index} is none.");
            invalid("INVALID_PARAMETER_VALUE", message)
        }),
    }
}

/// Cuts a page off, and gives the block that the next one begins at.
fn cut(page: &mut Vec<u32>, most: usize) -> Option<u32> {
    let next = page.get(most).copied();
    page.truncate(most);
    next
}

fn answer(
    sealer: &Sealer,
    snapshot: &Snapshot,
    name: &str,
    blocks: Vec<Value>,
    next: Option<String>,
) -> Value {
    let expiry = sealer.now.checked_add(BLOCK_GOOD).unwrap_or(sealer.now);
    let mut answer = json!({
        "ExpiryTime": seconds(expiry),
        "VolumeSize": snapshot.size_gib,
        "BlockSize": BLOCK_SIZE,
    });
    if let Some(map) = answer.as_object_mut() {
        map.insert(name.to_owned(), blocks.into());
        if let Some(next) = next {
            map.insert("NextToken".to_owned(), next.into());
        }
    }
    answer
}
