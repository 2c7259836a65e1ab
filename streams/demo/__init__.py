"""The demo: a broker, a worker, a simulated shop, and somebody who reads the lists, all in a minute."""

from streams.demo.run import DemoOptions, DemoResult, run_demo

__all__ = ["DemoOptions", "DemoResult", "run_demo"]
