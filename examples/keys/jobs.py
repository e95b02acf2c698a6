"""The jobs of the payment service; its worker loads this module alone."""

from dataclasses import dataclass

from jobstream import App, Context

app = App("pay")
mail = app.queue("mail", partitions=6)


@dataclass(frozen=True)
class Receipt:
    """A mail about a payment."""

    payment: str
    cents: int


@app.job(queue=mail)
def send_receipt(args: Receipt, ctx: Context) -> None:
    """Send it; this example only logs it."""
    ctx.logger.info("receipt of payment %s sent", args.payment)
