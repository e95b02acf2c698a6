"""The jobs of the shop. The worker loads this module, and no web framework with it."""

from dataclasses import dataclass

from jobstream import App, Context

app = App("shop", size="small")
mail = app.queue("mail")


@dataclass(frozen=True)
class Receipt:
    """A mail to a customer."""

    order_id: str
    email: str


@app.job(queue=mail)
def send_receipt(args: Receipt, ctx: Context) -> None:
    """Send it; this example only logs it."""
    ctx.logger.info("receipt of order %s sent", args.order_id)
