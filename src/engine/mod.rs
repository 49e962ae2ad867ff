// SPDX-License-Identifier: MPL-2.0
//! Who may write to a connection and who may read it.

#![forbid(unsafe_code)]

pub mod rx_claim;
pub mod tx_ownership;
