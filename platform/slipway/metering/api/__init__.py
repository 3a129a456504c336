"""What was used, what it costs, and what it may cost."""

from __future__ import annotations

from django.urls import path

from slipway.metering.api import bills, money, usage

urlpatterns = [
    path("usage", usage.UsageView.as_view()),
    path("usage/records", usage.RecordsView.as_view()),
    path("requests/<str:request_id>", usage.RequestView.as_view()),
    path("costs", bills.CostsView.as_view()),
    path("bills/<str:month>", bills.BillView.as_view()),
    path("bills/<str:month>/csv", bills.BillCsvView.as_view()),
    path("bills/<str:month>/pdf", bills.BillPdfView.as_view()),
    path("bills/<str:month>/signature", bills.BillSignatureView.as_view()),
    path("bills/<str:month>/lines/<int:number>/rows", bills.BillRowsView.as_view()),
    path("price-books", money.BooksView.as_view()),
    path("budgets", money.BudgetsView.as_view()),
    path("budgets/<uuid:budget_id>", money.BudgetView.as_view()),
    path("alerts", money.AlertsView.as_view()),
    path("credit", money.CreditView.as_view()),
]
