// The pages of work with models: tuning, evaluation, deployments, playground, questions to data.
import { BarChartOutlined, CloudServerOutlined, ExperimentOutlined, MessageOutlined, PieChartOutlined } from "@ant-design/icons";
import type { MenuEntry, PageEntry } from "./index";

export const workMenu: MenuEntry[] = [
  { path: "/training", word: "section.training", icon: <ExperimentOutlined /> },
  { path: "/evaluation", word: "section.evaluation", icon: <BarChartOutlined /> },
  { path: "/deployments", word: "section.services", icon: <CloudServerOutlined /> },
  { path: "/playground", word: "section.playground", icon: <MessageOutlined /> },
  { path: "/ask", word: "section.ask", icon: <PieChartOutlined /> },
];

export const workPages: PageEntry[] = [
  { path: "/training", load: () => import("./training/JobsPage") },
  { path: "/training/new", load: () => import("./training/NewJobPage") },
  { path: "/training/:id", load: () => import("./training/JobPage") },
  { path: "/evaluation", load: () => import("./evaluation/EvalsPage") },
  { path: "/evaluation/new", load: () => import("./evaluation/NewEvalPage") },
  { path: "/evaluation/:id", load: () => import("./evaluation/EvalPage") },
  { path: "/deployments", load: () => import("./deployments/DeploymentsPage") },
  { path: "/deployments/new", load: () => import("./deployments/NewDeploymentPage") },
  { path: "/deployments/:id", load: () => import("./deployments/DeploymentPage") },
  { path: "/playground", load: () => import("./playground/PlaygroundPage") },
  { path: "/playground/feedback", load: () => import("./playground/FeedbackPage") },
  { path: "/ask", load: () => import("./ask/AskPage") },
];
