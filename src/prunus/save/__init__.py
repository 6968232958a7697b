"""Pruned models and plans in files: plain tensors and JSON, whole or not there, no pickle."""

from prunus.save.files import read, read_manifest, write
from prunus.save.latencies import load_latency_table, save_latency_table
from prunus.save.manifest import Manifest
from prunus.save.plans import load_plan, plan_from_json, plan_to_json, save_plan

__all__ = [
    "Manifest",
    "load_latency_table",
    "load_plan",
    "plan_from_json",
    "plan_to_json",
    "read",
    "read_manifest",
    "save_latency_table",
    "save_plan",
    "write",
]
