"""The router of the HTTP contract: exactly these addresses, without trailing slashes."""

from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from accounts_app.api import agents
from config.problems import NowhereView
from guard_app.api import replays, rules
from integrations_app.api import catalogue, sessions, webhooks
from tasks_app.api import calls, conversations, deciding, incidents, runs, tasks, working

urlpatterns: list[URLPattern | URLResolver] = [
    path("agents", agents.AgentListView.as_view()),
    path("agents/<slug:slug>", agents.AgentView.as_view()),
    path("sessions", sessions.SessionsView.as_view()),
    path("sessions/<str:pk>", sessions.SessionView.as_view()),
    path("sessions/<str:pk>/last-task", conversations.LastTaskView.as_view()),
    path("sessions/<str:pk>/end", sessions.SessionEndView.as_view()),
    path("sessions/<str:pk>/terminate", sessions.SessionTerminateView.as_view()),
    path("integrations", catalogue.IntegrationsView.as_view()),
    path("integrations/<slug:slug>", catalogue.IntegrationView.as_view()),
    path("integrations/<slug:slug>/import-openapi", catalogue.ImportView.as_view()),
    path(
        "integrations/<slug:integration>/operations/<slug:slug>",
        catalogue.OperationView.as_view(),
    ),
    path("operations", catalogue.OperationsView.as_view()),
    path("operations/tools", catalogue.ToolsView.as_view()),
    path("runs", runs.RunsView.as_view()),
    path("runs/<str:pk>", runs.RunView.as_view()),
    path("runs/<str:pk>/messages", conversations.MessagesView.as_view()),
    path("runs/<str:pk>/input", conversations.InputView.as_view()),
    path("runs/<str:pk>/timeline", conversations.TimelineView.as_view()),
    path("runs/<str:pk>/complete", runs.RunCompleteView.as_view()),
    path("runs/<str:pk>/fail", runs.RunFailView.as_view()),
    path("runs/<str:pk>/terminate", runs.RunTerminateView.as_view()),
    path("tool-calls", calls.CallsView.as_view()),
    path("tool-calls/<str:pk>", calls.CallView.as_view()),
    path("tool-calls/<str:pk>/cancel", calls.CallCancelView.as_view()),
    path("tool-calls/<str:pk>/result", calls.CallResultView.as_view()),
    path("tasks", tasks.TasksView.as_view()),
    path("tasks/stats", tasks.TaskStatsView.as_view()),
    path("tasks/bulk-complete", deciding.TaskBulkView.as_view()),
    path("tasks/<str:pk>", tasks.TaskView.as_view()),
    path("tasks/<str:pk>/result", tasks.TaskResultView.as_view()),
    path("tasks/<str:pk>/complete", deciding.TaskCompleteView.as_view()),
    path("tasks/<str:pk>/approve", deciding.TaskApproveView.as_view()),
    path("tasks/<str:pk>/reject", deciding.TaskRejectView.as_view()),
    path("tasks/<str:pk>/cancel", deciding.TaskCancelView.as_view()),
    path("tasks/<str:pk>/draft", working.TaskDraftView.as_view()),
    path("tasks/<str:pk>/metadata", working.TaskMetadataView.as_view()),
    path("tasks/<str:pk>/comments", working.TaskCommentsView.as_view()),
    path("tasks/<str:pk>/ask", working.TaskAskView.as_view()),
    path("tasks/<str:pk>/information", working.TaskInformationView.as_view()),
    path("tasks/<str:pk>/extend", working.TaskExtendView.as_view()),
    path("tasks/<str:pk>/events", tasks.TaskEventsView.as_view()),
    path("webhooks", webhooks.WebhooksView.as_view()),
    path("webhooks/<slug:slug>", webhooks.WebhookView.as_view()),
    path("webhooks/<slug:slug>/rotate", webhooks.WebhookRotateView.as_view()),
    path("webhooks/<slug:slug>/ping", webhooks.WebhookPingView.as_view()),
    path("webhooks/<slug:slug>/deliveries", webhooks.DeliveriesView.as_view()),
    path("webhooks/deliveries/<str:pk>/redeliver", webhooks.RedeliverView.as_view()),
    path("guard/rules", rules.RulesView.as_view()),
    path("guard/rules/<slug:slug>", rules.RuleView.as_view()),
    path("guard/replays", replays.ReplaysView.as_view()),
    path("guard/replays/<str:pk>", replays.ReplayView.as_view()),
    path("guard/incidents", incidents.IncidentsView.as_view()),
    path("guard/incidents/<str:pk>", incidents.IncidentView.as_view()),
    path("guard/incidents/<str:pk>/<slug:act>", incidents.IncidentTriageView.as_view()),
    path("guard/detections", rules.DetectionsView.as_view()),
    path("schema/", SpectacularJSONAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    re_path(r"^.*$", NowhereView.as_view()),
]
