// SPDX-License-Identifier: MPL-2.0
//! Empty: the dependency is what is built.
